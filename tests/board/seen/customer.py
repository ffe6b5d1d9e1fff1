"""What is to be seen of one customer, once it is said what for."""

from __future__ import annotations

from playwright.sync_api import Page, expect


def check_a_customer_opens_for_a_purpose_only(page: Page) -> None:
    page.goto("/coupons")
    link = page.locator(".coupons-list tbody td a[href^='/customer/']").first
    expect(link).to_be_visible(timeout=60_000)
    page.goto(link.get_attribute("href") or "")
    expect(page.get_by_text("Say first what you open customers' data for.")).to_be_visible(timeout=30_000)
    page.locator("#purpose").select_option("a complaint")
    expect(page.locator(".customer-id")).to_be_visible(timeout=60_000)
    page.locator(".customer-timeline summary").first.click()
    expect(page.locator(".customer-inside").first).to_be_visible()
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("heading", name="Gates on the way to the coupon")).to_be_visible(timeout=60_000)


def check_what_is_typed_never_stands_in_an_address(page: Page) -> None:
    page.goto("/customer")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("#purpose").select_option("a complaint")
    page.locator("#sought").fill("phone:+8613800000000")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("status").filter(has_text="no customer is known by this phone")).to_be_visible(
        timeout=30_000
    )
    assert not [url for url in [*asked, page.url] if "13800000000" in url]
