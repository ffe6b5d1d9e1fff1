"""The core's sentences on Chinese pages."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

COMES_MS = 180_000  # until the chain's first findings
WORDS = re.compile(r"\b[a-z]{2,}(?: [a-z]{2,}){2,}\b")  # three words of English in a row


def in_chinese(page: Page, path: str) -> None:
    page.add_init_script("localStorage.setItem('brewline.language', 'zh')")
    page.goto(path)


def tells(of: Locator, within_ms: int, act: Callable[[], None] = lambda: None) -> None:
    """That there is something, and no English sentence in it."""
    expect(of.first).to_be_visible(timeout=within_ms)
    act()
    found = [f"{each}: {said}" for each in of.all_inner_texts() for said in WORDS.findall(each)]
    assert not found, found


def check_rules_say_in_chinese_when_they_look_and_what_they_give(page: Page) -> None:
    in_chinese(page, "/rules")
    tells(page.locator(".page.rules td:nth-child(5), .page.rules td:nth-child(7)"), 30_000)
    for rule in ("cart-left", "mid-autumn", "moon-box", "high-value", "birthday"):
        page.goto(f"/rules/{rule}")
        tells(page.locator(".rules-clauses b, .rules-clauses ~ p, .rules-clauses ~ ul"), 30_000)


def check_alerts_of_all_kinds_say_in_chinese_why(page: Page) -> None:
    for kind in ("service", "model", "security"):
        in_chinese(page, f"/alerts?state=&kind={kind}")
        tells(page.locator(".alerts tbody .alerts-why"), COMES_MS)
    page.locator(".alerts tbody tr a").first.click()
    tells(page.locator(".alerts-lead, .alerts-line li"), 30_000)


def check_a_rules_outlook_is_told_in_chinese(page: Page) -> None:
    in_chinese(page, "/coupons")
    link = page.locator(".coupons-list tbody td a[href^='/customer/']").first
    expect(link).to_be_visible(timeout=60_000)
    page.goto(link.get_attribute("href") or "")
    page.locator("#purpose").select_option("a complaint")
    page.get_by_role("button", name="查询").click(timeout=60_000)
    gates = page.locator(".page.customer > .customer-body > section").last
    expect(gates.get_by_role("heading", name="发券关卡")).to_be_visible(timeout=60_000)
    tells(gates.locator("td, li, p.note"), 10_000)
