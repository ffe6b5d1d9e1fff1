"""The page of the engine in a browser: `page` is signed in to a running demo."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

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
