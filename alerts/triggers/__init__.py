"""Coupon triggers: rules, conditions, policy, decisions."""
