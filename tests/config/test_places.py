"""A store, a region or a campaign that is written wrong is refused: it would lift the limit that was meant."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from alerts.triggers.gifts import WrongRule
from brewline.rules import check_rules
from config import settings as conf
from flows.rules import load_campaigns, load_rules
from tests.config.test_rules import GOOD

STORES = "store,region,timezone\ns1,east,Asia/Shanghai\ns2,west,Asia/Shanghai\n"
CAMPAIGN = 'id = "winback"\nbudget_cents = 1000\n[per_region]\neast = 500\ndefault = 1\n[per_store]\ns1 = 100\n'


@pytest.fixture
def house(tmp_path: Path) -> conf.Settings:
    for name in ("rules", "campaigns"):
        (tmp_path / name).mkdir()
    write(tmp_path, "rules/winback.toml", GOOD.replace("= 100 }", '= 100, campaign = "winback" }'))
    write(tmp_path, "campaigns/winback.toml", CAMPAIGN)
    write(tmp_path, "stores.csv", STORES)
    shipped, folders = conf.load(environ={}), {key: str(tmp_path / key) for key in ("rules", "campaigns")}
    stores = conf.Stores(file=str(tmp_path / "stores.csv"))
    return replace(shipped, coupons=replace(shipped.coupons, **folders), stores=stores)


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, "utf-8")


def load(house: conf.Settings) -> list[str]:
    return list(load_campaigns(house, load_rules(house)).by_id)


def changed(folder: Path, name: str, found: str, broken: str) -> None:
    text = (folder / name).read_text("utf-8")
    assert found in text
    write(folder, name, text.replace(found, broken, 1))


@pytest.mark.parametrize(
    ("name", "found", "broken", "message"),
    [
        ("campaigns", "east =", "eest =", "4: per_region: the stores file has no region 'eest'; did you mean"),
        ("campaigns", "s1 =", "s1x =", "7: per_store: the stores file has no store 's1x'; did you mean 's1'?"),
        ("rules", "= 100,", '= 100, stores = ["s1", "s1x"],', "5: then.stores: the stores file has no store 's1x'"),
        ("rules", "= 100,", '= 100, regions = ["Eest"],', "5: then.regions: the stores file has no region 'Eest'"),
        (
            "rules",
            'cooldown = "7d"',
            'cooldown = "7d"\nschedule = { regions = ["Eest"] }',
            "7: schedule.regions: the stores file has no region 'Eest'; did you mean",
        ),
        (
            "rules",
            'cooldown = "7d"',
            'cooldown = "7d"\nschedule = { stores = ["north"] }',
            "7: schedule.stores: the stores file has no store 'north'; known are s1, s2",
        ),
        (
            "rules",
            "orders_7d >= 3",
            "orders_7d >= 3 AND region IN ('east', 'Eest')",
            "4: when: the stores file has no region 'Eest'; did you mean",
        ),
        (
            "rules",
            'campaign = "winback"',
            'campaign = "winbackk"',
            "5: then.campaign: no campaign file has the id 'winbackk', so nothing would limit it; did you mean",
        ),
    ],
)
def test_a_name_that_nothing_has_is_refused_with_what_was_meant(
    house: conf.Settings, tmp_path: Path, name: str, found: str, broken: str, message: str
) -> None:
    assert load(house) == ["winback"]
    changed(tmp_path, f"{name}/winback.toml", found, broken)
    with pytest.raises(WrongRule) as wrong:
        load(house)
    assert str(wrong.value).startswith(f"{tmp_path}/{name}/winback.toml:{message}")


def test_without_a_stores_file_any_place_may_be_named(house: conf.Settings, tmp_path: Path) -> None:
    changed(tmp_path, "campaigns/winback.toml", "east", "eest")
    changed(tmp_path, "rules/winback.toml", "= 100,", '= 100, stores = ["s1x"],')
    assert load(replace(house, stores=conf.Stores())) == ["winback"]


def test_a_campaign_that_has_no_file_is_said_to_have_no_limit(house: conf.Settings, tmp_path: Path) -> None:
    other = GOOD.replace('"winback"', '"other"').replace("= 100 }", '= 100, campaign = "thanks" }')
    write(tmp_path, "rules/other.toml", other)
    shown = StringIO()
    assert check_rules(house, Console(file=shown)) == 0
    assert "no limit: campaigns without a file: thanks\n" in shown.getvalue()


def test_nobody_is_shown_a_hundred_names(house: conf.Settings, tmp_path: Path) -> None:
    write(tmp_path, "stores.csv", STORES + "".join(f"t{n:03},west,Asia/Shanghai\n" for n in range(100)))
    changed(tmp_path, "campaigns/winback.toml", "s1 =", "north =")
    with pytest.raises(WrongRule, match=r"known are s1, s2, t000.* t021 and 78 more$"):
        load(house)
