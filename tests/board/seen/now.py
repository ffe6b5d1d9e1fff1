"""The page Now as people see it: a page of a running board, somebody of head office signed in."""

from __future__ import annotations

from playwright.sync_api import Page, expect

SLOW_MS = 20_000


def check_figures_stand_against_what_is_usual(page: Page) -> None:
    page.goto("/now")
    cards = page.locator(".now-cards .chart")
    expect(cards).to_have_count(6, timeout=SLOW_MS)
    expect(page.locator(".now-cards canvas")).to_have_count(6, timeout=SLOW_MS)
    assert all(chip.strip() for chip in page.locator(".now-cards .chip").all_inner_texts())


def check_it_goes_on_without_a_reload(page: Page) -> None:
    page.goto("/now")
    clock = page.locator(".page.now .bar .note").first
    expect(clock).not_to_be_empty(timeout=SLOW_MS)
    before = clock.inner_text()
    page.evaluate("window.stayed = true")
    expect(clock).not_to_have_text(before, timeout=SLOW_MS)
    assert page.evaluate("window.stayed"), "the page was loaded again"


def check_a_span_is_chosen_by_key_and_kept(page: Page) -> None:
    page.goto("/now")
    hours = page.locator("[data-span=hours]")
    hours.focus()
    page.keyboard.press("Enter")
    expect(hours).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(page.locator("[data-span=hours]")).to_have_attribute("aria-pressed", "true", timeout=SLOW_MS)
    page.locator("[data-span=day]").click()


def check_a_chart_is_a_table_as_well_and_read_out_by_the_arrow_keys(page: Page) -> None:
    page.goto("/now")
    chart = page.locator(".now-cards .chart").first
    expect(chart.locator("canvas")).to_be_visible(timeout=SLOW_MS)
    chart.locator(".plot").focus()
    page.keyboard.press("ArrowLeft")
    expect(chart.locator(".readout")).not_to_be_empty()
    chart.get_by_role("button").click()
    expect(chart.locator("table tbody tr").first).to_be_visible()


def check_the_heat_table_leads_to_a_store(page: Page) -> None:
    page.goto("/now")
    cell = page.locator(".heat-cell").first
    expect(cell).to_be_visible(timeout=SLOW_MS)
    store = (cell.get_attribute("href") or "").rpartition("/")[2]
    page.locator(f".heat-cell[href$='/{store}']").click()
    page.wait_for_url(f"**/stores/{store}")
    expect(page.locator("h1")).to_contain_text(store)
