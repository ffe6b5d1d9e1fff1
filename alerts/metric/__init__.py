"""A detector for any single metric: whatever is measured again and again, and whatever its unit."""
