"""What travels on `sightings`: facts on accounts and devices, keyed by what they are about.

All that is known of an account adds up (`Traces.add`), in any order, and twice as well as once. So a fact needs no
number, a repeat changes nothing, and an account that was merged away hands over what it knows as one more fact.
Referrers and orders are short hashes: nobody's id stands with anybody else, but beside those who share a device.
"""

from __future__ import annotations

from typing import TypeAlias, TypeVar

from msgspec import Struct, json
from msgspec.structs import replace

from alerts.kpis.kpi import ClockMark
from features.seen import id_hash
from features.times import DAY_MS

Key = TypeVar("Key", str, int)
MOST = 200  # of each kind of an account's, and accounts on a device
KINDS = ("devices", "referrers", "former", "redeemed", "refunded")


class Hold(Struct, array_like=True):
    """What a case says of a customer: held for `reason` until then (0: without end); no reason: not held."""

    revision: int
    reason: str = ""
    until_ms: int = 0


class Traces(Struct, omit_defaults=True):
    """What an account has left behind; times in epoch ms."""

    devices: dict[str, dict[int, int]] = {}  # by device and day since 1970 (UTC), when it was first seen there
    referrers: dict[str, int] = {}  # by hash of who brought it, when
    former: dict[str, int] = {}  # by hash of an account that was merged into it, until when it may have been seen
    redeemed: dict[str, int] = {}  # by hash of an order paid with a coupon, when
    refunded: dict[str, int] = {}  # by hash of an order that was given back, when
    cleared_ms: int = 0  # what it redeemed until then was reviewed
    holds: dict[str, Hold] = {}  # by case and account
    said_ms: int = 0  # time of the latest word to the customers flow: of two at one time the stricter would count

    def add(self, other: Traces) -> tuple[bool, set[str]]:
        """Whether anything is new, and the devices that must be told of it."""
        told = {
            device for device, days in other.devices.items() if _earliest(self.devices.setdefault(device, {}), days)
        }
        strangers = other.former.keys() - self.former.keys()
        self.former |= {who: max(at_ms, self.former.get(who, 0)) for who, at_ms in other.former.items()}
        brought = _earliest(self.referrers, other.referrers)
        if brought or strangers:
            told |= self.devices.keys()
        news = bool(told or strangers or brought) or other.cleared_ms > self.cleared_ms
        news |= _earliest(self.redeemed, other.redeemed) | _earliest(self.refunded, other.refunded)
        self.cleared_ms = max(self.cleared_ms, other.cleared_ms)
        self.said_ms = max(self.said_ms, other.said_ms)
        for name, hold in other.holds.items():
            if name not in self.holds or hold.revision > self.holds[name].revision:
                self.holds[name], news = hold, True
        return news, told

    def room_for(self, other: Traces) -> tuple[Traces, int]:
        """Of another's what is known or within MOST, and how much is beyond."""
        taken, beyond = {}, 0
        for kind in KINDS:
            mine, others = getattr(self, kind), getattr(other, kind)
            fresh = [name for name in others if name not in mine]
            out = {*fresh[max(0, MOST - len(mine)) :]}
            taken[kind] = {name: known for name, known in others.items() if name not in out}
            beyond += len(out)
        return (replace(other, **taken), beyond) if beyond else (other, 0)

    def on(self, device: str) -> Traces:
        """What a device must know of it."""
        return Traces(devices={device: self.devices.get(device, {})}, referrers=self.referrers, former=self.former)

    def forget(self, until_ms: int) -> None:
        """Drops what was before."""
        day = until_ms // DAY_MS
        left = {device: {on: at for on, at in days.items() if on > day} for device, days in self.devices.items()}
        self.devices = {device: days for device, days in left.items() if days}
        for times in self._times():
            for old in [name for name, at_ms in times.items() if at_ms // DAY_MS <= day]:
                del times[old]

    def _times(self) -> tuple[dict[str, int], ...]:
        return self.referrers, self.former, self.redeemed, self.refunded

    @property
    def latest_ms(self) -> int:
        """0 when nothing is known."""
        days = [day * DAY_MS for found in self.devices.values() for day in found]
        times = [at_ms for found in self._times() for at_ms in found.values()]
        return max([*days, *times], default=0)


def _earliest(mine: dict[Key, int], others: dict[Key, int]) -> bool:
    """Takes over what is new or earlier; whether there was any."""
    if not others:
        return False
    new = {name: at_ms for name, at_ms in others.items() if name not in mine or at_ms < mine[name]}
    mine.update(new)
    return bool(new)


class Known(Struct, tag="known", omit_defaults=True):
    """Something of an account, for the account itself; or all of it that one device must know."""

    customer: str
    traces: Traces
    device: str = ""


class Merged(Struct, tag="merged"):
    customer: str
    into: str
    at_ms: int


class Erased(Struct, tag="erased", omit_defaults=True):
    """The account is forgotten, or no longer of this device's concern."""

    customer: str
    device: str = ""


class Decided(Struct, tag="decided"):
    """A human's word on a case: `released` or `confirmed`."""

    subject: str
    case: str
    outcome: str
    by: str
    at_ms: int


Fact: TypeAlias = Known | Merged | Erased | Decided
encode_fact = json.Encoder().encode
decode_fact = json.Decoder(Fact | ClockMark).decode


def subject_of(fact: Fact) -> str:
    """Whose record it is for, and its key: a customer id, or a device's pseudonym."""
    if isinstance(fact, Decided):
        return fact.subject
    return fact.customer if isinstance(fact, Merged) else fact.device or fact.customer


def hashed(id: str) -> str:
    """A customer or an order, where only sameness matters."""
    return id_hash(id).hex()
