"""What is to be seen on the page of coupons."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect


def check_decisions_come_live_with_reasons_in_words(page: Page) -> None:
    page.goto("/coupons")
    rows = page.locator(".coupons-list tbody tr")
    expect(rows.first).to_be_visible(timeout=60_000)
    before = page.locator(".coupons-sums").inner_text()
    expect(page.locator(".coupons-sums")).not_to_have_text(before, timeout=60_000, use_inner_text=True)
    expect(page.locator(".coupons-sum.good")).to_contain_text("given")


def check_a_reason_is_picked_and_only_its_decisions_stay(page: Page) -> None:
    page.goto("/coupons")
    expect(page.locator(".coupons-list tbody tr").first).to_be_visible(timeout=60_000)
    page.get_by_label("Outcome").select_option("issued")
    others = page.locator(".coupons-list td:nth-child(3)").filter(has_not_text=re.compile("^given$"))
    expect(others).to_have_count(0)


def check_the_funnel_budgets_and_lifts_stand_there(page: Page) -> None:
    page.goto("/coupons")
    expect(page.locator(".coupons-step")).to_have_count(4, timeout=60_000)
    expect(page.get_by_role("cell", name="winback", exact=True)).to_be_visible(timeout=30_000)
    expect(page.get_by_role("heading", name="Lift: what coupons bring")).to_be_visible()
