"""Measurements: each prints its figures with machine and commit."""
