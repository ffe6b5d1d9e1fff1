"""`brewline campaigns`: what each campaign may still spend, as partitions have noted it, on eighty columns."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from redis import Redis
from rich.console import Console

from brewline.campaigns import show_campaigns
from config import settings as conf
from features.events import Brake, encode
from operators.layout import check_layout
from operators.servers import RedisServer
from operators.store import PartitionStore

pytestmark = pytest.mark.servers


def test_a_campaign_is_told_with_what_it_spent_and_what_ran_out(
    redis: RedisServer, topic_prefix: str, tmp_path: Path
) -> None:
    (tmp_path / "thanks.toml").write_text(
        'id = "thanks"\nbudget_cents = 100000\ncoupons = 5\n[per_region]\neast = 300\n'
    )
    prefix = topic_prefix.rstrip("-")
    coupons = conf.Coupons(campaigns=str(tmp_path))
    settings = conf.Settings(redis=conf.Redis(redis.url, prefix), coupons=coupons, folder=str(conf.HERE))
    client = Redis.from_url(redis.url)
    check_layout(client, prefix, {"partitions of events": 2})
    store = PartitionStore(client, prefix, "customers")
    for partition, (cents, given) in enumerate([(12_300, 2), (600, 1)]):
        spent = {"thanks/budget": cents, "thanks/coupons": given, "thanks/region:east": 150}
        client.hset(store.key(partition, "spent"), mapping=spent)
    word = Brake(id="b", campaign="thanks", place="store:s1", revision=1, paused=True, by="anna", reason="why")
    client.hset(store.key(1, "brakes"), "thanks/store:s1", encode(word))
    shown = io.StringIO()
    [row] = show_campaigns(settings, Console(file=shown, width=80))
    assert (row["spent_cents"], row["given"], row["ran_out"]) == (12_900, 3, ["region:east"])
    told = [line for line in shown.getvalue().splitlines() if "129 of 1,000" in line]
    assert len(told) == 1
    assert all(word in told[0] for word in ("thanks", "running", "3 of 5"))
    assert row["paused"] == ["store:s1"]
    assert "region:east" in shown.getvalue()
    assert "store:s1" in shown.getvalue()
    assert "…" not in shown.getvalue()
