"""What is to be seen on any page that is live."""

from __future__ import annotations

import time

from playwright.sync_api import Page, expect

MOVES_S = 60.0
FIGURES = "[...document.querySelectorAll('.figure')].map((one) => one.textContent).join()"


def check_it_moves_without_a_reload(page: Page) -> None:
    page.goto("/now")
    expect(page.locator(".figure").first).to_be_visible(timeout=20_000)
    before = page.evaluate(f"window.same = {FIGURES}")
    until = time.monotonic() + MOVES_S
    while (
        page.evaluate(FIGURES) == before
    ):  # by words of ours, not by Playwright's: the policy lets no text become code
        assert time.monotonic() < until
        page.wait_for_timeout(200)
    assert page.evaluate("window.same") == before, "it was not loaded anew"
    expect(page.locator(".fresh")).to_have_class("fresh live")


def check_a_chart_is_a_table_for_who_cannot_see_it(page: Page) -> None:
    page.goto("/now")
    page.get_by_role("button", name="As a table").first.click()
    expect(page.get_by_role("table").first).to_be_visible()
