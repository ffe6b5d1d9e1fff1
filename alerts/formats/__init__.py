"""Formats: a notice as its receivers read it."""
