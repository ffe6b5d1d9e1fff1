"""What is to be seen of the rules: their tests, and the switch."""

from __future__ import annotations

from playwright.sync_api import Page, expect


def check_a_rules_tests_are_run_and_drawn(page: Page) -> None:
    page.goto("/rules/welcome")
    page.get_by_role("button", name="Run the tests").click(timeout=30_000)
    expect(page.get_by_text("came out as they must")).to_be_visible(timeout=60_000)
    expect(page.locator(".rules-line .fired").first).to_be_attached()


def check_a_rule_is_switched_off_and_on_again(page: Page) -> None:
    page.goto("/rules/mid-autumn")
    for asked, then in (("Switch off", "Switch on"), ("Switch on", "Switch off")):
        page.get_by_role("button", name=asked).click(timeout=30_000)
        page.get_by_role("dialog").get_by_role("button", name=asked).click()
        expect(page.get_by_role("button", name=then)).to_be_visible(timeout=60_000)


def check_rules_are_found_by_a_word(page: Page) -> None:
    page.goto("/rules")
    page.get_by_label("Search").fill("winback")
    expect(page.locator("tbody tr").filter(has_text="winback-14d")).to_be_visible()
    expect(page.locator("tbody tr").filter(has_text="welcome")).to_have_count(0)
