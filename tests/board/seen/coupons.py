"""What is to be seen on the page of coupons."""

from __future__ import annotations

from playwright.sync_api import Page, expect


def check_decisions_come_live_with_reasons_in_words(page: Page) -> None:
    page.goto("/coupons")
    rows = page.locator(".coupons-list tbody tr")
    expect(rows.first).to_be_visible(timeout=60_000)
    page.evaluate("window.before = document.querySelector('.coupons-sums').textContent")
    page.wait_for_function("window.before !== document.querySelector('.coupons-sums').textContent", timeout=60_000)
    expect(page.locator(".coupons-sum.good")).to_contain_text("given")


def check_a_reason_is_picked_and_only_its_decisions_stay(page: Page) -> None:
    page.goto("/coupons")
    expect(page.locator(".coupons-list tbody tr").first).to_be_visible(timeout=60_000)
    page.get_by_label("Outcome").select_option("issued")
    page.wait_for_function(
        "[...document.querySelectorAll('.coupons-list td:nth-child(3)')].every((cell) => cell.textContent === 'given')"
    )


def check_the_funnel_budgets_and_lifts_stand_there(page: Page) -> None:
    page.goto("/coupons")
    expect(page.locator(".coupons-step")).to_have_count(4, timeout=60_000)
    expect(page.get_by_role("cell", name="winback", exact=True)).to_be_visible(timeout=30_000)
    expect(page.get_by_role("heading", name="Lift: what coupons bring")).to_be_visible()
