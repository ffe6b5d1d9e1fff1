"""The pure core: events, identity, windows, customer records, feature rows and models."""
