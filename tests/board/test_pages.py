"""`make pages`: the pages in a real Chromium, on a demo: what each shows, in both languages, on a phone, to whom."""

from __future__ import annotations

import importlib
import pkgutil
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from board.pages import PAGES
from brewline.results import ROOT
from tests.board import seen

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.pages]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
START_S = 150
LINK = re.compile(r"board: (\S+?)(/enter/\S+)")
NAMES = [page.name for page in PAGES]
CHECKS = [
    pytest.param(getattr(module, name), id=f"{module.__name__.rpartition('.')[2]}-{name}")
    for found in pkgutil.iter_modules(seen.__path__)
    for module in [importlib.import_module(f"{seen.__name__}.{found.name}")]
    for name in sorted(vars(module))
    if name.startswith("check_")
]


@pytest.fixture(scope="module")
def links() -> Iterator[list[tuple[str, str]]]:
    """(address, path that signs in) of a demo: all roles, then a store manager."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium here")
    command = [sys.executable, "-m", "brewline", "demo", "--duration", "900"]
    demo = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    killer = threading.Timer(START_S, demo.kill)
    killer.start()
    found, said = [], []
    for line in demo.stdout or ():
        said.append(line)
        found += LINK.findall(line)
        if len(found) == 2:
            break
    killer.cancel()
    assert len(found) == 2, "the demo told no links:\n" + "".join(said)
    threading.Thread(target=lambda: list(demo.stdout or ()), daemon=True).start()  # so that it is never kept waiting
    yield found
    demo.send_signal(signal.SIGTERM)
    demo.wait(60)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def entered(browser: Browser, links: list[tuple[str, str]]) -> list[tuple[str, Any]]:
    """(address, what a browser keeps) of each who has followed their link."""
    kept = []
    for address, path in links:
        context = browser.new_context()
        page = context.new_page()
        page.goto(address + path)
        page.wait_for_url("**/now")
        kept.append((address, context.storage_state()))
        context.close()
    return kept


Opened = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, entered: list[tuple[str, Any]]) -> Iterator[Opened]:
    """A page of who is signed in; what its console says in anger fails the test."""
    contexts, anger = [], list[str]()

    def open(who: int = 0, **options: Any) -> Page:
        address, state = entered[who]
        options = {"locale": "en-GB", "viewport": {"width": 1280, "height": 800}, **options}
        context = browser.new_context(base_url=address, storage_state=state, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: anger.append(f"{error}"))
        page.on("console", lambda said: anger.append(said.text) if "Content Security Policy" in said.text else None)
        return page

    yield open
    for context in contexts:
        context.close()
    assert not anger, anger


def shown(page: Page, name: str) -> None:
    page.goto(f"/{name}")
    expect(page.locator(f".page.{name}")).to_be_visible(timeout=20_000)
    expect(page.locator(".state.bad")).to_have_count(0)


@pytest.mark.parametrize("check", CHECKS)
def test_what_a_page_promises(opened: Opened, check: Callable[[Page], None]) -> None:
    check(opened())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(opened: Opened, name: str, scheme: str, tmp_path: Path) -> None:
    page = opened(color_scheme=scheme)
    shown(page, name)
    found = Axe().run(page).response["violations"]
    serious = [
        f"{one['id']} ({one['impact']}): {one['help']}: {[node['target'] for node in one['nodes']][:3]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
    assert not serious, "\n".join(serious)


@pytest.mark.parametrize("path", ["coupons", "rules/cart-left", "stores/S001", "models/churn_risk"])
def test_english_fits_a_phone(opened: Opened, path: str) -> None:
    page = opened(viewport={"width": 390, "height": 800})
    page.goto(f"/{path}")
    expect(page.locator(".page")).not_to_have_attribute("aria-busy", "true", timeout=20_000)
    expect(page.locator(".page > *").nth(1)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing reaches over the edge"


@pytest.mark.parametrize("name", NAMES)
def test_it_speaks_chinese_and_fits_a_phone(opened: Opened, name: str) -> None:
    page = opened(locale="zh-CN", viewport={"width": 390, "height": 800})
    shown(page, name)
    assert page.locator("html").get_attribute("lang") == "zh-CN"
    assert re.search(r"[\u4e00-\u9fff]", page.locator("h1").first.inner_text())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing reaches over the edge"


def test_a_store_manager_is_shown_what_is_theirs_and_told_so_elsewhere(opened: Opened) -> None:
    page = opened(1)
    shown(page, "now")
    offered = page.locator("#pages a").evaluate_all("links => links.map(link => link.dataset.page)")
    assert offered == [p.name for p in PAGES if "store" in p.roles]
    for denied in (p.name for p in PAGES if "store" not in p.roles):
        assert page.goto(f"/{denied}").status == 403  # type: ignore[union-attr]
        expect(page.get_by_text("not for your role")).to_be_visible()


def test_an_address_of_no_page_says_so_on_a_page(opened: Opened) -> None:
    page = opened()
    for path, status in (("/nope", 404), ("/rules/%", 200)):
        assert page.goto(path).status == status  # type: ignore[union-attr]
        expect(page.locator("#pages a[data-page=now]")).to_be_visible()
        expect(page.get_by_text("There is no such page")).to_be_visible()


def test_it_is_walked_by_keyboard_alone(opened: Opened) -> None:
    page = opened()
    shown(page, "now")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.locator("#pages a").last.focus()
    page.keyboard.press("Enter")
    expect(page.locator(f".page.{NAMES[-1]}")).to_be_visible(timeout=20_000)


def test_a_link_is_good_once_and_the_door_says_so(browser: Browser, links: list[tuple[str, str]], entered: Any) -> None:
    address, path = links[0]
    page = browser.new_context().new_page()
    assert page.goto(address + path).status == 403  # type: ignore[union-attr]
    expect(page.get_by_role("alert")).to_have_text("This link has been used, or is too old: ask for another.")
    page.goto(f"{address}/now")
    expect(page.get_by_label("Password")).to_be_visible()
    page.get_by_label("Name").fill("mei")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("the name or the password is wrong")
    page.context.close()
