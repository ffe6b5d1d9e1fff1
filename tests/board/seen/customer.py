"""What is to be seen of one customer, once it is said what for."""

from __future__ import annotations

from playwright.sync_api import Page, Route, expect


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


def open_one(page: Page) -> None:
    page.goto("/coupons")
    link = page.locator(".coupons-list tbody td a[href^='/customer/']").first
    expect(link).to_be_visible(timeout=60_000)
    page.goto(link.get_attribute("href") or "")
    page.locator("#purpose").select_option("a complaint")
    expect(page.locator(".customer-id")).to_be_visible(timeout=60_000)


def check_of_two_quick_moves_through_time_the_later_counts(page: Page) -> None:
    open_one(page)
    waiting: list[Route] = []
    page.route("**/api/v1/customers/*?at_ms=*", lambda one: waiting.append(one))
    field = page.locator("input[type=datetime-local]")
    latest = field.input_value()
    field.fill("2026-05-03T12:30")
    page.get_by_role("button", name="Latest").click()
    while len(waiting) < 2:
        page.wait_for_timeout(100)
    for one in reversed(waiting):
        one.continue_()
        page.wait_for_timeout(1_000)
    expect(field).to_have_value(latest)


def check_a_time_that_is_taken_out_changes_nothing(page: Page) -> None:
    open_one(page)
    told = page.locator(".customer-body").inner_text()
    page.locator("input[type=datetime-local]").fill("")
    page.wait_for_timeout(500)
    assert page.locator(".customer-body").inner_text() == told


def check_a_year_that_is_typed_digit_by_digit_asks_for_no_year_2(page: Page) -> None:
    open_one(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for typed in ("0002-05-03T12:30", "0020-05-03T12:30", "0202-05-03T12:30", "2026-05-03T12:30"):
        page.locator("input[type=datetime-local]").fill(typed)
    expect(page.get_by_text("this is no exact look into the past")).to_be_visible()
    assert len([url for url in asked if "at_ms=" in url]) == 1
