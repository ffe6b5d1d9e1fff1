"""An account's record: what is known of it, its own loop case, and the cases that hold it."""

from __future__ import annotations

from hashlib import blake2b

from msgspec import Struct, field, msgpack

from alerts.abuse.case import Case
from alerts.abuse.desk import Desk, Hand
from alerts.abuse.fact import Decided, Erased, Hold, Known, Merged, Traces, hashed
from alerts.abuse.look import loop
from alerts.abuse.signals import LOOP
from features.events import Suppress
from features.suppression import ABUSE
from features.times import DAY_MS

NEVER_MS = 1 << 62


class Account(Struct, array_like=True):
    traces: Traces = field(default_factory=Traces)
    case: Case | None = None
    into: str = ""  # whom it was merged into
    into_until_ms: int = 0  # as long as that is remembered
    due_ms: int = 0  # when it was last written, when it ends
    tidied: int = 0  # day on which what is too old was last dropped

    def ends_ms(self, kept_ms: int) -> int:
        """When nothing of it matters any more."""
        holds, latest_ms = self.traces.holds.values(), self.traces.latest_ms
        if any(hold.reason == ABUSE for hold in holds):
            return NEVER_MS
        known_ms = (latest_ms // DAY_MS + 1) * DAY_MS + kept_ms if latest_ms else 0
        return max(known_ms, self.into_until_ms, *(hold.until_ms for hold in holds), 0)


encode_account = msgpack.Encoder().encode
decode_account = msgpack.Decoder(Account).decode


def learn(desk: Desk, customer: str, account: Account, traces: Traces) -> None:
    """Adds what is known, or hands it on to whom the account was merged into."""
    if account.into:
        desk.tell(Known(account.into, traces))
        return
    traces, beyond = account.traces.room_for(traces)
    desk.counts["traces_beyond_limit"] += beyond
    before = _in_force(account.traces, desk.now_ms)
    news, told = account.traces.add(traces)
    if not news:
        return
    for device in sorted(told):
        desk.tell(Known(customer, account.traces.on(device), device))
    look_again(desk, customer, account, before)


def look_again(desk: Desk, customer: str, account: Account, before: dict[str, int] | None = None) -> None:
    """Judges what is left in time."""
    before = _in_force(account.traces, desk.now_ms) if before is None else before
    if account.tidied < desk.day:
        account.tidied = desk.day
        account.traces.forget(desk.now_ms - desk.kept_ms)
    found = loop(customer, account.traces, desk.signals.loop)
    account.case = desk.follow(account.case, found, (LOOP, customer, ""), _into(account))
    _tell_holds(desk, customer, account.traces, before)


def merge(desk: Desk, word: Merged, account: Account) -> None:
    """Hands all that is known to the other; its own case ends, for the other will see the same and more."""
    if account.into:
        return
    account.traces.former[hashed(word.customer)] = max(desk.now_ms, word.at_ms, account.traces.latest_ms)
    desk.tell(Known(word.into, account.traces))
    if account.case is not None and account.case.stands:
        desk.follow(account.case, None, (LOOP, word.customer, ""), lambda _, *hold: desk.hold(word.into, *hold))
        account.case = None
    account.into = word.into
    account.traces = Traces(devices=account.traces.devices)  # which would have to forget it
    account.into_until_ms = desk.now_ms + desk.kept_ms


def decide(desk: Desk, word: Decided, account: Account) -> None:
    before = _in_force(account.traces, desk.now_ms)
    if desk.decide(account.case, word, _into(account)) and account.case is not None:
        account.traces.cleared_ms = max(account.traces.cleared_ms, account.case.last_ms)
        desk.say(account.case, word.subject)
        _tell_holds(desk, word.subject, account.traces, before)


def erase(desk: Desk, word: Erased, account: Account) -> None:
    """Every device forgets the account as well, and of its case nothing is left."""
    for device in sorted(account.traces.devices):
        desk.tell(Erased(word.customer, device))
    if account.case is not None:
        desk.close(account.case)
        desk.say(account.case, "")


def _into(account: Account) -> Hand:
    """Its own case's word is kept at once."""

    def hand(customer: str, name: str, hold: Hold) -> None:
        account.traces.holds[name] = hold

    return hand


def _in_force(traces: Traces, now_ms: int) -> dict[str, int]:
    """By reason, until when the customer is held; 0: without end."""
    found: dict[str, int] = {}
    for hold in traces.holds.values():
        if hold.reason and not 0 < hold.until_ms <= now_ms:
            found[hold.reason] = max(hold.until_ms, found.get(hold.reason, 0))
    return found


def _tell_holds(desk: Desk, customer: str, traces: Traces, before: dict[str, int]) -> None:
    """Nobody is held twice: only what ends otherwise than was said before is said."""
    now = _in_force(traces, desk.now_ms)
    if now == before:
        return
    told = sorted((name, hold.revision) for name, hold in traces.holds.items())
    cause = blake2b(f"{customer}{told}".encode(), digest_size=8).hexdigest()
    traces.said_ms = max(desk.now_ms or traces.latest_ms, traces.said_ms + 1)  # 0: no clock has come yet
    for reason in sorted({*before, *now}):
        word = Suppress(id=f"{cause}|{reason}", customer=customer, at_ms=traces.said_ms, reason=reason)
        if reason not in now:
            word.lift = True
            desk.suppress(word)
        elif now[reason] != before.get(reason):
            word.until_ms = now[reason]
            desk.suppress(word)
