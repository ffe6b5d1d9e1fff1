"""Ingest's pure part: raw records in; clean events, ticks and dead letters out.

A clean event has one customer id, its time in ms, its store's region, time zone and local date; its
raw identifiers are gone. Its key is the customer, or the store where no customer is known.
"""

from __future__ import annotations

from hashlib import blake2b
from itertools import zip_longest

from msgspec import Struct, field

from features import events as e
from features.check import Limits, check
from features.choices import leave_notes_out
from features.forgotten import Forgotten, living
from features.identity import KINDS, Degree, Found, Pseudonyms, Table, growing, resolve
from features.job import Batch, Message
from features.load import Loads, decode_load
from features.messages import Refused, dead_letter
from features.stores import Stores
from features.times import DAY_MS, local_day, midnight_ms, next_day, parse_time
from features.weather import Readings, slot_key

NOBODY = "forgotten"  # stands for a friend who was
LONGEST_PROMISE_MS = 30 * DAY_MS  # a delivery promised for later than that is a slip of the keyboard
LONGEST_SUPPRESSION_MS = 3_660 * DAY_MS  # whoever means longer leaves the end out


class Checked(Struct):
    """A batch's events after checking, by index; `refused` says why the others were not."""

    batch: Batch
    events: list[tuple[int, e.Event, list[str]]]  # index in the batch, event, pseudonyms
    refused: list[tuple[int, Refused]]
    unknown_fields: int = 0
    notes: int = 0  # among the options of orders
    ticks: int = 0
    former: dict[str, list[str]] = {}  # pseudonym → the same under the former keys
    friends: dict[int, list[str]] = {}  # by index: the pseudonym of whom a referral names

    @property
    def pseudonyms(self) -> set[str]:
        """Those to be looked up, under all keys."""
        found = {p for _, _, pseudonyms in self.events for p in pseudonyms}
        return found.union(*self.former.values(), *self.friends.values())

    def growing(self, table: Table) -> set[str]:
        """Customers of whom it must be known how many identifiers they have."""
        return growing((pseudonyms for _, _, pseudonyms in self.events), self.former, table)


class Cleaner(Struct, frozen=True):
    """What cleaning needs to know. `tick_keys` reach every partition of the clean topic."""

    limits: Limits
    pseudonyms: Pseudonyms
    stores: Stores
    events_topic: str
    dead_letters_topic: str
    identities_topic: str
    tick_keys: list[str]
    sources: int  # source partitions in all, each of which ticks
    degree: Degree = Degree()
    weather_topic: str = "weather"
    readings: Readings = field(default_factory=Readings)  # of the weather: grow with what is checked
    loads: Loads = field(default_factory=Loads)  # of stores
    live: bool = False  # ingest makes the ticks itself: nobody who sends events may move time

    def check(self, batch: Batch) -> Checked:
        """Decodes and checks; what cannot be read is refused with its reason."""
        checked = Checked(batch, [], [])
        for index, raw in enumerate(batch.values):
            try:
                event, unknown = check(raw, e.decode_sent, e.SENT_EVENTS, self.limits, batch.stamps_ms[index])
                if self.live and isinstance(event, e.Tick):
                    raise Refused("unknown_type", "ticks are sent in replays only; live, the clock is Brewline's own")
                self._place(event)
                if isinstance(event, e.Order):
                    checked.notes += leave_notes_out(event.lines)
                if isinstance(event, e.Referral):
                    checked.friends[index] = self._friend(event, checked.former)
                checked.events.append((index, event, self._identify(event, checked.former)))
                checked.unknown_fields += unknown
            except Refused as refused:
                checked.refused.append((index, refused))
        events, checked.ticks = checked.events, sum(isinstance(event, e.Tick) for _, event, _ in checked.events)
        checked.events = [
            one for one, after in zip_longest(events, events[1:]) if after is None or not _passed(one[1], after[1])
        ]
        return checked

    def _identify(self, event: e.Event, former: dict[str, list[str]]) -> list[str]:
        country = self.stores.countries.get(event.store, "")
        pseudonyms = self.pseudonyms.of(event.who, country) if event.who else []
        if not pseudonyms and not event.anonymous:
            raise Refused("missing_id", f"{e.kind_of(event)} needs an identifier in `who`")
        if event.who and self.pseudonyms.former:
            former |= self.pseudonyms.formerly(event.who, country)
        event.who = None
        if event.device:  # it says what was used, and never who
            event.device = self.pseudonyms.one("device", event.device)
        return pseudonyms

    def _friend(self, event: e.Referral, former: dict[str, list[str]]) -> list[str]:
        """The friend is somebody's raw identifier too: `card:123`, `phone:…`, or an app's plain id."""
        kind, colon, raw = event.friend.partition(":")
        who = e.Who(**{kind: raw}) if colon and kind in KINDS else e.Who(app_id=event.friend)
        country, event.friend = self.stores.countries.get(event.store, ""), ""
        try:
            pseudonyms = self.pseudonyms.of(who, country)
        except Refused as refused:
            raise Refused(refused.reason, refused.detail.replace("who.", "friend: ")) from None
        if not pseudonyms:
            raise Refused("missing_id", "friend is blank")
        if self.pseudonyms.former:
            former |= self.pseudonyms.formerly(who, country)
        return pseudonyms

    def _place(self, event: e.Event) -> None:
        try:
            event.region, event.tz = self.stores.place(event.store, event.tz)
        except (KeyError, ValueError, OSError) as error:
            raise Refused("wrong_type", "tz: not an IANA time zone") from error
        event.brand = self.stores.brands.get(event.store, "")
        event.day = local_day(event.at_ms, event.tz)
        event.time = 0
        event.customer = ""
        if isinstance(event, e.Placed):
            self.readings.tell(event)
            self.loads.tell(event)
        elif isinstance(event, e.Weather):
            self.readings.note(event)
        elif isinstance(event, e.Refund):
            event.ordered_ms = self._instant(event.ordered_time, "ordered_time", event.at_ms)
            event.ordered_day = local_day(event.ordered_ms, event.tz)
        elif isinstance(event, e.DeliveryPromised):
            latest_ms = event.at_ms + LONGEST_PROMISE_MS
            event.promised_ms = self._instant(event.promised_time, "promised_time", latest_ms)
        elif isinstance(event, e.Profile):
            event.birthday_ms = self._birthday_ms(event)
        elif isinstance(event, e.Suppress):
            event.until_ms = self._until_ms(event)
        elif isinstance(event, e.CouponDelivered):
            event.issued = event.issued_ms = 0

    def _birthday_ms(self, event: e.Profile) -> int:
        """When the next one begins."""
        try:
            return midnight_ms(next_day(event.birthday, event.day), event.tz)
        except ValueError as error:
            raise Refused("out_of_range", "birthday: there is no such day") from error

    def _until_ms(self, event: e.Suppress) -> int:
        """0 until it is lifted."""
        if not (event.reason or event.lift):
            raise Refused("out_of_range", "reason: none, and no `lift`")
        if event.until_time == "" or event.lift:
            return 0
        until_ms = self._instant(event.until_time, "until_time", event.at_ms + LONGEST_SUPPRESSION_MS)
        if until_ms <= event.at_ms:
            raise Refused("absurd_time", "until_time does not go with the time of the event")
        return until_ms

    def _instant(self, value: int | str, name: str, latest_ms: int) -> int:
        try:
            at_ms = parse_time(value)
        except ValueError as error:
            raise Refused("wrong_type", f"{name}: not a time") from error
        if not self.limits.earliest_ms <= at_ms <= latest_ms:
            raise Refused("absurd_time", f"{name} does not go with the time of the event")
        return at_ms

    def finish(
        self, checked: Checked, table: Table, forgotten: Forgotten | None = None
    ) -> tuple[list[Message], list[int], dict[str, int]]:
        """Messages in input order with their Kafka timestamps, and counts; fills `table` with what is new."""
        batch, refused = checked.batch, list(checked.refused)
        out: dict[int, list[Message]] = {}
        events, table.names = living(checked.events, forgotten, checked.pseudonyms, checked.former)
        named = [(i, event, checked.friends[i]) for i, event, _ in events if i in checked.friends]
        friends = {i: told for i, _, told in living(named, forgotten, checked.pseudonyms, checked.former)[0]}
        for index, event, pseudonyms in events:
            try:
                out[index] = self._clean(checked, event, pseudonyms, table, friends.get(index, []))
            except Refused as conflict:
                refused.append((index, conflict))
        for index, reason in refused:
            out[index] = [dead_letter(self.dead_letters_topic, batch, index, reason)]
        counts = self._counts(checked, refused, len(checked.events) - len(events))
        ordered = [(batch.stamps_ms[index], message) for index in sorted(out) for message in out[index]]
        return [message for _, message in ordered], [stamp_ms for stamp_ms, _ in ordered], counts

    def _clean(
        self, checked: Checked, event: e.Event, pseudonyms: list[str], table: Table, friend: list[str]
    ) -> list[Message]:
        if isinstance(event, e.Tick):
            return self.ticks(checked.batch, event.at_ms)
        if isinstance(event, e.Weather):
            return self._weather(event)
        if not pseudonyms:
            return [Message(self.events_topic, event.store or event.id, e.encode(event))]
        found = resolve(event, pseudonyms, table, self.degree, checked.former)
        event.customer = found.customer
        words = [event]
        if isinstance(event, e.Referral):
            words += self._bring(event, friend, found, table, checked.former)
        merges = [
            e.Merge(id=f"{loser}>{into}", customer=loser, at_ms=event.at_ms, into=into)
            for loser, into in found.merges.items()
        ]
        return [
            *(Message(self.events_topic, word.customer, e.encode(word)) for word in (*merges, *words)),
            *(Message(self.identities_topic, name, (told or "").encode()) for name, told in found.links.items()),
        ]

    def _weather(self, event: e.Weather) -> list[Message]:
        """Told to all ingest processes as well, unless a later reading of the place has come already."""
        told = Message(self.events_topic, event.place, e.encode(event))
        known = [Message(self.weather_topic, slot_key(event), told.value)] if self.readings.holds(event) else []
        return [told, *known]

    def note_weather(self, told: bytes) -> None:
        """What another process has read, as it stands on the topic."""
        event = e.decode_event(told)
        if isinstance(event, e.Weather):
            self.readings.note(event)

    def note_load(self, told: bytes) -> None:
        self.loads.note(decode_load(told))

    def _bring(
        self, event: e.Referral, friend: list[str], found: Found, table: Table, former: dict[str, list[str]]
    ) -> list[e.Event]:
        """Tells the friend, who becomes a customer by it; nobody where that one was forgotten, or is the same."""
        event.friend = NOBODY
        if not friend:
            return []
        other = resolve(event, friend, table, self.degree, former)
        found.links |= other.links
        found.merges |= other.merges
        event.friend = other.customer
        if other.customer == found.customer:
            return []
        id = blake2b(f"referred|{event.id}|{event.customer}".encode(), digest_size=16).hexdigest()
        told = e.Referred(id=id, customer=other.customer, by=found.customer)
        told.at_ms, told.day, told.tz = event.at_ms, event.day, event.tz
        return [told]

    def ticks(self, batch: Batch, at_ms: int) -> list[Message]:
        """One tick to every partition of the clean topic: this source partition has come to `at_ms`."""
        source = f"{batch.topic}/{batch.partition}"
        tick = e.encode(e.Tick(id=f"{source}/{at_ms}", at_ms=at_ms, source=source, of=self.sources))
        return [Message(self.events_topic, key, tick) for key in self.tick_keys]

    def _counts(self, checked: Checked, refused: list[tuple[int, Refused]], forgotten: int) -> dict[str, int]:
        counts = {"read": len(checked.batch.values), "dead_lettered": len(refused)}
        counts["ticks"] = checked.ticks
        counts["cleaned"] = counts["read"] - counts["dead_lettered"] - counts["ticks"] - forgotten
        if forgotten:
            counts["forgotten"] = forgotten
        counts["unknown_fields"] = checked.unknown_fields
        if checked.notes:
            counts["notes_left_out"] = checked.notes
        for _, reason in refused:
            name = f"dead_lettered:{reason.reason}"
            counts[name] = counts.get(name, 0) + 1
        return counts


def _passed(event: e.Event, follower: e.Event) -> bool:
    """Whether a tick may go because the next one follows at once: what lies between two ticks must stay there."""
    return isinstance(event, e.Tick) and isinstance(follower, e.Tick) and event.at_ms <= follower.at_ms
