"""Whether a flow that was struck has done what its undisturbed twin did: no more, no less, nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
import orjson
from msgspec import Struct

from benchmarks.decisions import decisions_in
from features.job import Message, decode_position
from features.loop import Store
from features.record import CorruptRecord
from features.refusals import REFUSALS
from features.trials import START
from operators.layout import RECORDS
from operators.store import PartitionStore

Effect = tuple[str, str]  # topic and id
Row = Callable[[bytes], Sequence[float]]


class Verdict(Struct):
    """`effects` by topic are those of the twin; `told` names some of what differs."""

    lost: int = 0
    duplicated: int = 0
    effects: dict[str, int] = {}
    repeated: int = 0  # sent again under the same id, as is allowed
    wrong_features: int = 0
    wrong_fences: int = 0  # partitions whose clock or counts differ
    cut_matters: int = 0  # partitions in which the twin depends on how the log is cut into batches
    told: list[str] = []

    def tell(self, what: str) -> None:
        if len(self.told) < 20:
            self.told.append(what)


def judge_messages(verdict: Verdict, expected: Iterable[Message], found: Iterable[Message]) -> None:
    """Each effect once: what is missing is lost; what is new, or has another content, is done twice or wrongly."""
    wanted = contents(expected)
    came = contents(found)
    for topic, _ in wanted:
        verdict.effects[topic] = verdict.effects.get(topic, 0) + 1
    for effect in wanted.keys() - came.keys():
        verdict.lost += 1
        verdict.tell(f"lost: {effect}: {next(iter(wanted[effect]))!r}")
    for effect, values in came.items():
        verdict.repeated += sum(values.values()) - len(values)
        wrong = values.keys() - wanted.get(effect, {}).keys()
        verdict.duplicated += len(wrong)
        for value in wrong:
            verdict.tell(f"not expected: {effect}: {value!r}; expected {list(wanted.get(effect, []))}")


def contents(messages: Iterable[Message]) -> dict[Effect, dict[Any, int]]:
    """Each effect's contents, and how often each came."""
    found: dict[Effect, dict[Any, int]] = defaultdict(lambda: defaultdict(int))
    for message in messages:
        for id, content in effects(message):
            found[message.topic, id][content] += 1
    return found


def effects(message: Message) -> Iterable[tuple[str, Any]]:
    """(id, content) of a message; of examples each row, and each decision, for they share messages by batch; of a
    trial of an arm, its decision and revision."""
    if "ce_id" in message.headers:
        return [(message.headers["ce_id"], message.value)]
    told = orjson.loads(message.value)
    if message.value.startswith(START):
        return [(f"{told['decision']}/{told['revision']}", (message.key, message.value))]
    if told.get("type") in ("brewline.decision", REFUSALS):  # by itself or with others, as the log was cut
        return [(one["decision"], repr(one)) for one in decisions_in(message.value)]
    if "rows" not in told:
        return [(told["id"], (message.key, message.value))]
    rows = zip(told["ids"], told["at_ms"], told["known_ms"], told["labels"], told["rows"], strict=True)
    return [(f"{told['model']}/{id}", repr(row)) for id, *row in rows]


def judge_state(verdict: Verdict, partition: int, expected: Store, found: Store, row: Row) -> None:
    """Records, feature rows, timers and receipts by customer, and the partition's clock and counts."""
    if found.position != expected.position:
        verdict.wrong_fences += 1
        verdict.tell(f"partition {partition} stands at {found.position}, expected {expected.position}")
    names = expected.records.keys() | found.records.keys() | expected.timers.keys() | found.timers.keys()
    for customer in sorted(names):
        raw, wanted = found.records.get(customer), expected.records.get(customer)
        rows = [_values(row, one) for one in (raw, wanted)]
        same_timer = found.timers.get(customer) == expected.timers.get(customer)
        receipts = [store.receipts.get(customer, []) for store in (found, expected)]
        same_receipts = receipts[0] == receipts[1]
        if raw != wanted or not (same_timer and same_receipts) or not np.array_equal(*rows, equal_nan=True):
            verdict.wrong_features += 1
            told = f"timer as expected: {same_timer}"
            told += "" if raw == wanted else f"; record {raw!r}, expected {wanted!r}"
            told += "" if same_receipts else f"; receipts {receipts[0]}, expected {receipts[1]}"
            verdict.tell(f"customer {customer} differs: {told}")


def _values(row: Row, raw: bytes | None) -> Any:
    """The features of a record; none of one that is missing or damaged."""
    try:
        return np.array(row(raw) if raw else [], dtype=np.float64)
    except CorruptRecord:
        return np.array([])


def stored(store: PartitionStore, partition: int) -> Store:
    """What Redis holds of a partition."""
    redis: Any = store.redis
    records = redis.hscan_iter(store.key(partition, RECORDS), count=10_000)
    timers = redis.zrange(store.key(partition, "timers"), 0, -1, withscores=True)
    kept = store.key(partition, "k:")
    receipts = {name: redis.lrange(name, 0, -1) for name in redis.scan_iter(f"{kept}*", count=10_000)}
    fence = redis.get(store.key(partition, "fence"))
    return Store(
        position=decode_position(fence) if fence else Store().position,
        records={name.decode(): raw for name, raw in records},
        timers={name.decode(): int(due_ms) for name, due_ms in timers},
        receipts={name.decode().removeprefix(kept): [*dict.fromkeys(found)] for name, found in receipts.items()},
    )


def same(one: Store, other: Store) -> bool:
    """Whether two runs over one log have come to the same, however it was cut."""
    return _all_of(one) == _all_of(other)


def _all_of(store: Store) -> tuple[Any, ...]:
    return msgspec.to_builtins(store.position), store.records, store.timers, store.receipts, contents(store.sent)
