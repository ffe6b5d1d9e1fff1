"""Coupons: their codes, whether one may be used, and what becomes of them once they are issued."""
