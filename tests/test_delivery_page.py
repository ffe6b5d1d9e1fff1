"""What docs/delivery.md tells of settings and receivers is so."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from alerts.delivery.signature import headers, read_secrets
from config.gateways import Dispatch, Gateway, complaint, variable
from tests.receiver import SECRET

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PAGE = (Path(__file__).parent.parent / "docs/delivery.md").read_text("utf-8")


def shown(language: str) -> str:
    [block] = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(block)


def test_a_receiver_that_does_as_the_page_says_tells_true_from_false() -> None:
    there: dict[str, Any] = {}
    exec(shown("python"), there)
    verified, now_s = there["verified"], int(time.time())
    sent = headers(read_secrets(SECRET), "d1", now_s, b"{}")
    both = headers(read_secrets(f"whsec_{'A' * 32} {SECRET}"), "d1", now_s, b"{}")
    assert verified(SECRET, sent, b"{}")
    assert verified(SECRET, both, b"{}")
    assert not verified(SECRET, sent, b"{ }")
    assert not verified(f"whsec_{'A' * 32}", sent, b"{}")
    assert not verified(SECRET, headers(read_secrets(SECRET), "d1", now_s - 3_600, b"{}"), b"{}")


def test_the_settings_shown_are_taken() -> None:
    tables = tomllib.loads(shown("toml"))["dispatch"]["gateways"]
    assert complaint(tables) == ""
    assert f"`{variable('push')}`" in PAGE


def test_every_setting_is_told_with_its_default() -> None:
    rows = dict(
        re.findall(r"^\| `(\w+)`(?:, `\w+`)? \| ([^|]*) \|", PAGE.partition("## What a gateway")[0], re.MULTILINE)
    )
    told = {name: default.strip().strip("`").replace(",", "") for name, default in rows.items()}
    for field in msgspec.structs.fields(Gateway):
        if field.name == "backoff_most_s":
            assert rows["backoff_s"].strip() == f"{Gateway('').backoff_s:g}, {field.default:g}"
        elif field.name not in ("url", "secret_file", "channels", "backoff_s"):
            default = field.default if isinstance(field.default, str) else f"{field.default:.0f}"
            assert told[field.name] == default, field.name
    assert f"`[dispatch] stop_s` ({Dispatch().stop_s:g})" in PAGE
