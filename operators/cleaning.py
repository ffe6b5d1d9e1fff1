"""The ingest step: check a batch, look its identifiers up, make clean events and ticks of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Event

from features.clean import Checked, Cleaner
from features.job import Batch, Message
from operators.health import Pulse, warn_seldom
from operators.identities import IdentityTable
from operators.kafka import Unreachable
from operators.redis_link import AWAY, reason
from operators.told import ToldTopic
from operators.transactions import Cleaned


class CleanStep:
    """`tick_ms`: how often a source partition says how late it is; None when ticks come with the input."""

    def __init__(
        self,
        cleaner: Cleaner,
        identities: IdentityTable,
        tick_ms: int | None,
        pulse: Pulse,
        stop: Event,
        told: Sequence[ToldTopic] = (),
    ) -> None:
        self.cleaner = cleaner
        self.identities = identities
        self.tick_ms = tick_ms
        self.pulse = pulse
        self.stop = stop
        self.told = told
        self.ticked_ms: dict[tuple[str, int], int] = {}

    def __call__(self, batch: Batch) -> Cleaned:
        checked: Checked | None = None
        began_s, wait_s = time.perf_counter(), 0.1
        while True:
            try:
                for topic in self.told:
                    topic.follow()
                checked = checked or self.cleaner.check(batch)
                cleaned = self._resolve(checked)
                self.pulse.well("redis")
                self.pulse.well("identities")
                break
            except (*AWAY, Unreachable) as error:
                self.pulse.trouble("identities" if isinstance(error, Unreachable) else "redis", reason(error))
                warn_seldom("identities are away", flow="ingest", error=reason(error), retry_s=wait_s)
                if self.stop.wait(wait_s):
                    raise
                wait_s = min(wait_s * 2, 5.0)
        self._tick(cleaned)
        cleaned.began_s, cleaned.cleaned_s = began_s, time.perf_counter()
        return cleaned

    def _resolve(self, checked: Checked) -> Cleaned:
        """Resolves identities; once more when another process named a customer meanwhile, or Redis was restarted."""
        while True:
            refills = self.identities.restore()
            table = self.identities.known(checked.pseudonyms)
            self.identities.load_groups(table, checked.growing(table))
            messages, stamps_ms, counts = self.cleaner.finish(checked, table, self.identities.forgotten)
            nothing_read = not checked.pseudonyms  # as in each second without records: then a restart changes nothing
            if nothing_read or (self.identities.add(table) and self.identities.restore() == refills):
                self.identities.hold(checked.batch, self._links(messages), table)
                return Cleaned(checked.batch, messages, stamps_ms, counts)

    def _links(self, messages: list[Message]) -> dict[str, str]:
        return {m.key: m.value.decode() for m in messages if m.topic == self.cleaner.identities_topic}

    def _tick(self, cleaned: Cleaned) -> None:
        """In wall-clock mode: up to the last record's Kafka timestamp, or, when quiet, to now."""
        batch = cleaned.batch
        if self.tick_ms is None:
            return
        at_ms = min(batch.stamps_ms[-1], batch.at_ms) if batch.stamps_ms else batch.at_ms
        place = (batch.topic, batch.partition)
        if at_ms >= self.ticked_ms.get(place, 0) + self.tick_ms:
            self.ticked_ms[place] = at_ms
            ticks = self.cleaner.ticks(batch, at_ms)
            cleaned.messages += ticks
            cleaned.stamps_ms += [batch.stamps_ms[-1] if batch.stamps_ms else batch.at_ms] * len(ticks)
