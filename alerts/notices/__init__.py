"""Notices: what receivers are told of alerts, and what people say of them, without clock, chance or network."""
