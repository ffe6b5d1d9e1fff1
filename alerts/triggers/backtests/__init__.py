"""Rules over a past: decided as live, counted instead of told."""
