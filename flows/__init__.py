"""The dataflows: which source feeds which step. Start here."""
