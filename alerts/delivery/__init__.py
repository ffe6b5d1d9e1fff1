"""Delivery: what has to be decided to carry a coupon to a gateway, without clock, chance or network."""
