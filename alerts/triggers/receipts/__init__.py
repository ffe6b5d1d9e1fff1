"""What is kept of decisions, and how it is told in plain words."""
