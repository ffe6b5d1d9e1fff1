"""What Brewline decides: coupon triggers, KPI alerts and security findings."""
