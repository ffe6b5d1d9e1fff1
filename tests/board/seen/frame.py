"""What is to be seen on any page that is live."""

from __future__ import annotations

import time

from playwright.sync_api import Page, Route, expect

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


def check_the_pages_stay_at_hand_however_far_one_reads(page: Page) -> None:
    page.goto("/rules")
    expect(page.locator(".page.rules tbody tr").nth(20)).to_be_attached(timeout=20_000)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    assert page.evaluate("scrollY") > 500, "there is nothing to read far down"
    expect(page.locator("#pages a[data-page=now]")).to_be_in_viewport()
    expect(page.locator("header .brand")).to_be_in_viewport()


def check_a_phone_shows_where_one_is_and_one_line_above(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    for name in ("engine", "now"):
        page.goto(f"/{name}")
        expect(page.locator(f"#pages a[data-page={name}]")).to_be_in_viewport(ratio=0.99, timeout=20_000)
        assert page.locator("header").bounding_box()["height"] < 60  # type: ignore[index]
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def check_a_page_says_that_it_loads_until_it_has(page: Page) -> None:
    waiting: list[Route] = []
    page.route("**/api/v1/campaigns*", lambda one: waiting.append(one))
    page.goto("/campaigns")
    busy = page.locator(".page.campaigns")
    expect(busy).to_have_attribute("aria-busy", "true", timeout=20_000)
    assert "Loading" in page.evaluate("getComputedStyle(document.querySelector('.page.campaigns'), '::after').content")
    while waiting:
        waiting.pop().continue_()
    expect(busy).not_to_have_attribute("aria-busy", "true", timeout=20_000)


def check_no_figure_stands_alone_on_a_wall_screen(page: Page) -> None:
    page.set_viewport_size({"width": 2560, "height": 1440})
    for path, cards, rows in (("/now", ".now-cards > *", 2), ("/engine", ".engine-figures > .card", 1)):
        page.goto(path)
        expect(page.locator(cards).first).to_be_visible(timeout=60_000)
        tops = page.eval_on_selector_all(cards, "all => all.map((one) => Math.round(one.getBoundingClientRect().y))")
        assert len({*tops}) == rows, path


def check_what_is_drawn_anew_leaves_the_keyboard_where_it_was(page: Page) -> None:
    for path, chosen in (("/stores", ".store-card"), ("/rules", "td a"), ("/engine", ".page.engine .scroll")):
        page.goto(path)
        one = page.locator(chosen).nth(1)
        one.focus(timeout=60_000)
        page.evaluate("window.held = document.activeElement")
        href = one.get_attribute("href")
        until = time.monotonic() + MOVES_S
        while page.evaluate("window.held.isConnected"):
            assert time.monotonic() < until, path
            page.wait_for_timeout(200)
        assert page.evaluate("document.activeElement.className") == page.evaluate("window.held.className"), path
        assert page.evaluate("document.activeElement.getAttribute('href')") == href, path


def check_a_table_that_was_moved_aside_stays_there(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto("/engine")
    table = page.locator(".page.engine .scroll").first
    expect(table).to_be_visible(timeout=60_000)
    page.evaluate("window.held = document.querySelector('.page.engine .scroll'); window.held.scrollLeft = 60")
    until = time.monotonic() + MOVES_S
    while page.evaluate("window.held.isConnected"):
        assert time.monotonic() < until
        page.wait_for_timeout(200)
    assert table.evaluate("one => one.scrollLeft") == 60


def check_a_page_that_was_left_while_it_loaded_does_not_take_the_next_ones_place(page: Page) -> None:
    waiting: list[Route] = []
    page.route("**/api/v1/campaigns*", lambda one: waiting.append(one))
    page.goto("/campaigns")
    expect(page.locator(".page.campaigns")).to_have_attribute("aria-busy", "true", timeout=20_000)
    page.locator("#pages a[data-page=models]").click()
    expect(page.locator(".page.models tbody tr").first).to_be_visible(timeout=60_000)
    while waiting:
        waiting.pop().continue_()
    page.wait_for_timeout(1_000)
    with page.expect_request("**/api/v1/live?feeds=*") as asked:
        page.locator("#pages a[data-page=customer]").click()
    assert asked.value.url.endswith("feeds="), "what the page before listened to has ended with it"
