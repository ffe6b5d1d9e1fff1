"""Campaigns for tests, from the text of their files."""

from __future__ import annotations

from alerts.triggers.campaign import Campaigns, read_campaign


def campaigns_of(*files: str, unit: int = 1) -> Campaigns:
    """`unit`: the least that one coupon costs."""
    found = [read_campaign(text, f"{number}.toml") for number, text in enumerate(files)]
    return Campaigns(found, {campaign.id: unit for campaign in found})
