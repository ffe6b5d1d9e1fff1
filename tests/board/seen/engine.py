"""The page of the engine in a browser: `page` is signed in to a running demo."""

from __future__ import annotations

import re

from playwright.sync_api import Page, Route, expect

COMES_MS = 60_000


def check_each_flow_tells_what_it_does(page: Page) -> None:
    page.goto("/engine")
    for flow in ("ingest", "customers", "kpis", "security", "learning", "notify"):
        row = page.locator("tr").filter(has=page.get_by_role("cell", name=flow, exact=True))
        expect(row.get_by_text(re.compile("running|运行中"))).to_be_visible(timeout=COMES_MS)
    expect(page.locator(".engine canvas").first).to_be_visible()


def check_figures_change_by_themselves(page: Page) -> None:
    page.goto("/engine")
    figure = page.locator(".engine .cards .figure").first
    figure.wait_for(timeout=COMES_MS)
    before = figure.inner_text()
    expect(figure).not_to_have_text(before, timeout=15_000)


def check_a_dead_letter_is_masked_then_opened_then_sent_again(page: Page) -> None:
    page.goto("/engine")
    page.locator("#letters td button").first.click(timeout=COMES_MS)
    text = page.locator("dialog pre")
    expect(text).not_to_have_text("…")
    masked = text.inner_text()
    opens = page.get_by_role("button", name=re.compile("Show the record|查看原始记录|显示原始记录"))
    if page.locator("#purpose").input_value() == "":
        expect(opens).to_be_disabled()
    page.locator("#purpose").select_option("mending a record")
    opens.click()
    expect(text).not_to_have_text(masked)
    page.locator("dialog").get_by_role("button", name=re.compile("Send again|重新发送")).click()
    page.locator("dialog button.main").click()
    expect(page.get_by_text(re.compile(r"Sent again: 1|已重新发送 1"))).to_be_visible(timeout=15_000)


def check_of_two_searches_of_dead_letters_the_later_is_shown(page: Page) -> None:
    page.goto("/engine")
    rows = page.locator("#letters tbody tr")
    rows.first.wait_for(timeout=COMES_MS)
    waiting: list[Route] = []
    page.route(re.compile("/dead-letters.*[?&]q="), lambda one: waiting.append(one))
    text = page.locator("#letters input[name=q]")
    text.fill("pos.events")
    text.fill("nothing of this name")
    while len(waiting) < 2:
        page.wait_for_timeout(100)
    for one in reversed(waiting):
        one.continue_()
        page.wait_for_timeout(1_000)
    expect(rows).to_have_count(0)


def check_dead_letters_are_searched_by_time(page: Page) -> None:
    page.goto("/engine")
    rows = page.locator("#letters tbody tr")
    rows.first.wait_for(timeout=COMES_MS)
    page.locator("#letters input[name=to]").fill("2020-01-01T00:00")
    expect(page.locator("#letters .state")).to_have_text("None matches.", timeout=15_000)
    page.locator("#letters input[name=to]").fill("2050-01-01T00:00")
    expect(rows.first).to_be_visible(timeout=15_000)
