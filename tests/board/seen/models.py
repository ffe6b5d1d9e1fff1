"""The pages of models in a browser: `page` is signed in to a running demo."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

LEARNED_MS = 120_000  # until the demo's labels have made a first version


def check_models_are_beside_their_baselines(page: Page) -> None:
    page.goto("/models")
    row = page.locator("tr").filter(has_text="churn risk")
    expect(row.get_by_text(re.compile(r"version \d|版本 \d")).first).to_be_visible(timeout=LEARNED_MS)


def check_one_model_shows_quality_calibration_and_what_moves_it(page: Page) -> None:
    page.goto("/models/churn_risk")
    expect(page.locator(".models-diagram circle").first).to_be_attached(timeout=LEARNED_MS)
    expect(page.locator(".models canvas").first).to_be_visible()
    expect(page.locator(".models-bar").first).to_be_attached()


def check_a_version_is_promoted_and_learning_decides_again(page: Page) -> None:
    page.goto("/models/churn_risk")
    page.get_by_role("button", name=re.compile("^(Promote|提升)")).first.click(timeout=LEARNED_MS)
    page.locator("dialog button.main").click()
    expect(page.get_by_text(re.compile("pinned by a person|已由人工固定")).first).to_be_visible(timeout=30_000)
    page.get_by_role("button", name=re.compile("Let learning decide|交由学习流程决定")).click()
    page.locator("dialog button.main").click()
    expect(page.get_by_text(re.compile("pinned by a person|已由人工固定"))).to_have_count(0, timeout=30_000)


def check_a_model_without_a_version_is_not_called_well(page: Page) -> None:
    page.goto("/models")
    row = page.locator("tr").filter(has_text="lapse risk")
    expect(row.locator(".chip").first).to_be_visible(timeout=LEARNED_MS)
    said = row.inner_text()
    assert re.search(r"version \d|版本 \d", said) or not re.search(r"\bwell\b|正常", said), said
