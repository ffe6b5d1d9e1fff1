"""The pages of alerts in a browser: `page` is signed in to a running demo."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

COMES_MS = 60_000  # until the demo's chain has had its first alert
SAID_MS = 20_000  # until the desk has heard a word, on a machine that does much else
AT_ONCE_MS = 1_500  # from then on it shows; a second of it is the board's


def check_alerts_come_by_themselves_with_their_reasons(page: Page) -> None:
    page.goto("/alerts")
    rows = page.locator(".alerts tbody tr").filter(has=page.locator("a"))
    expect(rows.first).to_be_visible(timeout=COMES_MS)
    expect(rows.first.locator(".alerts-why")).not_to_be_empty()


def check_what_is_filtered_away_is_not_shown(page: Page) -> None:
    page.goto("/alerts?state=")
    expect(page.locator(".alerts tbody tr a").first).to_be_visible(timeout=COMES_MS)
    page.locator("input[name=entity]").fill("nobody-has-this-name")
    expect(page.get_by_text(re.compile("No alert matches|没有符合条件"))).to_be_visible()
    expect(page).to_have_url(re.compile("entity=nobody"))


def check_who_acknowledges_sees_it_at_once(page: Page) -> None:
    page.goto("/alerts?state=firing")
    button = page.locator(".alerts tbody button").first
    button.wait_for(timeout=COMES_MS)
    key = (button.get_attribute("data-key") or "").removeprefix("ack ")
    row = page.locator("tr").filter(has=page.locator(f'[data-key="{key}"]'))
    button.click()
    page.locator("dialog input").fill("somebody looks")
    page.locator("dialog button.main").click()
    expect(page.locator("dialog")).to_have_count(0, timeout=SAID_MS)
    expect(row.get_by_text(re.compile("acknowledged|已认领"))).to_be_visible(timeout=AT_ONCE_MS)


def check_one_alert_shows_what_it_rests_on(page: Page) -> None:
    page.goto("/alerts?kind=security&state=")
    page.locator(".alerts tbody tr a").first.click(timeout=3 * COMES_MS)  # the chain's insider waits for the fourth day
    expect(page.locator(".alerts-line li").first).to_be_visible()
    expect(page.locator(".alerts-meter")).to_be_visible()
    expect(page.locator(".alerts code").first).to_be_visible(timeout=COMES_MS)


def check_a_silence_is_listed_and_ends(page: Page) -> None:
    page.goto("/alerts")
    page.get_by_role("button", name=re.compile("New silence|新建静默")).click()
    page.locator("dialog input[name=store]").fill("no-such-store")
    page.locator("dialog input[name=reason]").fill("a trial")
    page.locator("dialog button.main").click()
    row = page.locator("tr").filter(has_text="no-such-store").filter(has=page.get_by_role("button"))
    expect(row).to_be_visible(timeout=SAID_MS)
    row.get_by_role("button").click()
    page.locator("dialog button.main").click()
    expect(row).to_have_count(0, timeout=SAID_MS)


def check_a_phone_shows_alerts_without_sideways_scrolling(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/alerts", "/models", "/engine"):
        page.goto(path)
        page.locator("h1").wait_for()
        page.wait_for_timeout(500)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    page.set_viewport_size({"width": 1280, "height": 800})


def check_sentences_tell_the_chains_time_and_no_names_of_code(page: Page) -> None:
    page.goto("/alerts?state=&kind=service")
    rows = page.locator(".alerts tbody tr").filter(has=page.locator("a"))
    expect(rows.first).to_be_visible(timeout=COMES_MS)
    expect(rows.filter(has_text=re.compile(r"\d{4}-\d\d-\d\dT\d"))).to_have_count(0)
    expect(rows.locator("a").filter(has_text="_")).to_have_count(0)
