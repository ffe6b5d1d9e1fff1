"""The closing account: every event in is applied, a duplicate, too late, dropped or a dead letter, to the unit.

All but the dead letters come from the fences in Redis, which are exact across crashes: an event of a
customer is accounted for by the customers flow, one without a customer by kpis, which alone calls
events too late, an audit event by security. What Brewline itself writes among the events is told apart (`own`).
Dead letters are counted on their topic, by id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct
from redis import Redis

from alerts.kpis.closing import closed_ms
from brewline.watch import Watch
from config.settings import Settings
from operators.store import PartitionStore

ACCOUNTING = ("customers", "kpis", "security")
CLOCKED = ("customers", "kpis", "kpis-merge", "kpis-judge", "service", "service-desk", "abuse", "abuse-judge")


class Before(Struct, forbid_unknown_fields=True):
    """Where flows and topics stood before a replay: what came of it is counted from here, whoever asks."""

    redis: str = ""  # server and prefix that these counts are from
    counts: dict[str, dict[str, int]] = {}  # by flow
    ends: dict[str, int] = {}  # of what the flows write: topic/partition → offset

    def of(self, *flows: str) -> Counter[str]:
        counts: Counter[str] = Counter()
        for flow in flows:
            counts.update(self.counts.get(flow, {}))
        return counts


class Account(Struct):
    events_in: int
    applied: int
    duplicates: int
    too_late: int
    dead_lettered: int
    forgotten: int = 0  # of customers who were forgotten: dropped
    own: int = 0  # beside those that were sent: written by the flows, by dispatch or by commands

    @property
    def done(self) -> int:
        """Events of which it is known what became of them."""
        return self.applied + self.duplicates + self.too_late + self.dead_lettered + self.forgotten

    @property
    def settled(self) -> bool:
        return self.events_in == self.done


def totals(redis: Redis, settings: Settings, flow: str, partitions: int) -> Counter[str]:
    """Exact counts of a flow since the beginning, over its partitions."""
    store = PartitionStore(redis, settings.redis.prefix, flow)
    counts: Counter[str] = Counter()
    for partition in range(partitions):
        counts.update(store.position(partition).counts)
    return counts


def balance(
    redis: Redis, settings: Settings, partitions: int, watch: Watch, before: Counter[str], sent: int
) -> Account:
    """What became of `sent` events, given what had been accounted for `before`."""
    now = accounted(redis, settings, partitions)
    return Account(
        events_in=sent,
        applied=now["applied"] - before["applied"],
        duplicates=now["duplicates"] - before["duplicates"],
        too_late=now["too_late"] - before["too_late"],
        dead_lettered=watch.dead_letters.total(),
        forgotten=now["forgotten"] - before["forgotten"],
        own=now["own"] - before["own"],
    )


def clocks_ms(redis: Redis, settings: Settings, partitions: int, flows: Iterable[str] = CLOCKED) -> dict[str, int]:
    """The time to which all clocks of a flow have come."""
    stores = {flow: PartitionStore(redis, settings.redis.prefix, flow) for flow in flows}
    return {
        flow: min(store.position(partition).clock.now_ms for partition in range(partitions))
        for flow, store in stores.items()
    }


def last_ms(flow: str, at_ms: int) -> int:
    """Where a flow's clock stands when nothing comes any more after `at_ms`."""
    return closed_ms(at_ms) if flow == "kpis-judge" else at_ms


def all_come_to(clocks_ms: Mapping[str, int], at_ms: int) -> bool:
    """Whether all clocks, by flow, stand where they do when nothing comes any more after this time."""
    return all(now_ms >= last_ms(flow, at_ms) for flow, now_ms in clocks_ms.items())


def all_out(redis: Redis, settings: Settings, partitions: int, watch: Watch) -> bool:
    """Has all that was decided been seen leaving?"""
    decided = Counter[str]()
    for flow in ("customers", "kpis-judge", "security", "service-desk"):
        decided.update(totals(redis, settings, flow, partitions))
    seen = {"coupons": watch.coupons.total(), "kpi_alerts": watch.alerts["kpi"]}
    seen |= {f"{kind}_alerts": watch.alerts[kind] for kind in ("security", "service")}
    seen |= {"tickets": watch.tickets.total(), "redemptions": watch.redemptions.total()}
    decided["redemptions"] = sum(number for name, number in decided.items() if name.startswith("coupon:"))
    return all(decided[name] == count for name, count in seen.items())


def accounted(redis: Redis, settings: Settings, partitions: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    for flow in ACCOUNTING:
        counts.update(totals(redis, settings, flow, partitions))
    return counts


def percentile(values: list[int], share: float) -> float | None:
    """Nearest-rank percentile; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return float(ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))])
