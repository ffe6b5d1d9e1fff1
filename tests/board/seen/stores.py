"""The pages Stores and Campaigns as people see them: a page of a running board, somebody of head office signed in."""

from __future__ import annotations

from playwright.sync_api import Page, expect

SLOW_MS = 20_000


def check_stores_are_found_and_put_in_order(page: Page) -> None:
    page.goto("/stores")
    cards = page.locator(".store-card")
    expect(cards.first).to_be_visible(timeout=SLOW_MS)
    page.locator(".page.stores select").nth(1).select_option("id")
    expect(cards.first.locator("strong")).to_have_text("S001", timeout=SLOW_MS)
    page.get_by_role("searchbox").fill("s003")
    expect(cards).to_have_count(1, timeout=SLOW_MS)
    page.get_by_role("searchbox").fill("nowhere")
    expect(page.locator(".page.stores > .note[role=status]")).not_to_be_empty()
    expect(cards).to_have_count(0, timeout=SLOW_MS)


def check_a_store_is_looked_at_closely(page: Page) -> None:
    page.goto("/stores/S001")
    charts = page.locator(".drill .chart")
    expect(charts.first).to_be_visible(timeout=SLOW_MS)
    count = charts.count()
    chosen = page.locator(".drill-kpis [aria-pressed=true]")
    chosen.last.click()
    expect(charts).to_have_count(count - 1, timeout=SLOW_MS)
    page.locator(".drill-kpis [aria-pressed=false]").first.click()
    expect(charts).to_have_count(count, timeout=SLOW_MS)


def check_a_time_of_ones_own_is_asked_for(page: Page) -> None:
    page.goto("/stores/S001")
    first, last = (page.locator("input[type=datetime-local]").nth(place) for place in (0, 1))
    expect(first).not_to_have_value("", timeout=SLOW_MS)
    began, ended = first.input_value(), last.input_value()
    first.fill(ended)
    last.fill(began)
    page.locator(".drill .bar > button").click()
    expect(page.locator(".drill > [role=status]")).not_to_be_empty()
    first.fill(began)
    last.fill(ended)
    page.locator(".drill .bar > button").click()
    expect(page.locator(".drill > [role=status]")).to_be_empty(timeout=SLOW_MS)


def check_campaigns_lead_to_their_regions(page: Page) -> None:
    page.goto("/campaigns")
    link = page.locator(".page.campaigns tbody a").first
    expect(link).to_be_visible(timeout=SLOW_MS)
    link.click()
    expect(page.locator(".page.campaigns h2").first).to_be_visible(timeout=SLOW_MS)
    expect(page.locator(".page.campaigns .drill-kpis button").first).to_be_visible()


def check_a_phone_shows_all_without_scrolling_sideways(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/now", "/stores", "/stores/S001", "/campaigns"):
        page.goto(path)
        expect(page.locator(".page h1")).to_be_visible(timeout=SLOW_MS)
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
    page.set_viewport_size({"width": 1280, "height": 900})
