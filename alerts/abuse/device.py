"""A device's record: the accounts that were seen on it, and its cases: a crowd, and rings by referrer."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, msgpack
from msgspec.structs import replace

from alerts.abuse.case import CONFIRMED, RELEASED, Case, Found
from alerts.abuse.desk import Desk
from alerts.abuse.fact import MOST, Decided, Traces, hashed
from alerts.abuse.look import brought, crowd, people, ring
from alerts.abuse.signals import DEVICE, RING
from features.times import DAY_MS


class Device(Struct, array_like=True):
    """Cases stand by signal and whom they are about; `judged`: accounts that a human has seen there, hashed."""

    accounts: dict[str, Traces] = {}
    cases: dict[str, Case] = {}
    judged: dict[str, dict[str, str]] = {}  # by signal: hash of an account → released, confirmed
    due_ms: int = 0  # when it was last written, when it ends
    tidied: int = 0  # day on which what is too old was last dropped

    def ends_ms(self, kept_ms: int) -> int:
        """When nothing of it matters any more."""
        latest_ms = max((traces.latest_ms for traces in self.accounts.values()), default=0)
        return (latest_ms // DAY_MS + 1) * DAY_MS + kept_ms if latest_ms else 0


encode_device = msgpack.Encoder().encode
decode_device = msgpack.Decoder(Device).decode


def learn(desk: Desk, name: str, device: Device, customer: str, traces: Traces) -> None:
    if customer not in device.accounts and len(device.accounts) >= MOST:
        desk.counts["accounts_beyond_limit"] += 1
        return
    news, _ = device.accounts.setdefault(customer, Traces()).add(traces)
    if news:
        look_again(desk, name, device)


def look_again(desk: Desk, name: str, device: Device) -> None:
    """Judges what is left in time."""
    if device.tidied < desk.day:
        device.tidied = desk.day
        for traces in device.accounts.values():
            traces.forget(desk.now_ms - desk.kept_ms)
        device.accounts = {customer: traces for customer, traces in device.accounts.items() if traces.devices}
    if len(device.accounts) < 2 and not device.cases:
        return
    found = {f"{DEVICE}|": _crowd(desk, name, device), **_rings(desk, device)}
    for key in sorted(
        {*found, *device.cases}, key=lambda key: (found.get(key) is None, key)
    ):  # nobody is let go between
        signal, _, about = key.partition("|")
        case = desk.follow(device.cases.get(key), found.get(key), (signal, name, about), desk.hold)
        if case is not None:
            device.cases[key] = case


def _crowd(desk: Desk, name: str, device: Device) -> Found | None:
    accounts = _counted(device, DEVICE)
    return _unjudged(device, DEVICE, accounts, crowd(accounts, name, desk.signals.device))


def _rings(desk: Desk, device: Device) -> dict[str, Found | None]:
    accounts = _counted(device, RING)
    found = {f"{RING}|{hashed(who)}": ring(who, them, desk.signals.ring) for who, them in brought(accounts).items()}
    return {key: _unjudged(device, RING, accounts, one) for key, one in found.items()}


def _names(customer: str, traces: Traces) -> list[str]:
    return [hashed(customer), *traces.former]


def _outcomes(device: Device, signal: str, customer: str, traces: Traces) -> set[str]:
    judged = device.judged.get(signal, {})
    return {judged[name] for name in _names(customer, traces) if name in judged} if judged else set()


def _counted(device: Device, signal: str) -> dict[str, Traces]:
    """Customers whom no human has released on this device."""
    found = people(device.accounts)
    return {who: traces for who, traces in found.items() if RELEASED not in _outcomes(device, signal, who, traces)}


def _unjudged(device: Device, signal: str, accounts: Mapping[str, Traces], found: Found | None) -> Found | None:
    """Whoever was confirmed counts on, and is not held once more; without anybody new there is no case."""
    if found is None:
        return None
    held = [who for who in found.held if CONFIRMED not in _outcomes(device, signal, who, accounts[who])]
    return replace(found, held=held) if held else None


def decide(desk: Desk, word: Decided, device: Device) -> None:
    key = next((key for key, case in device.cases.items() if case.id == word.case), "")
    case = device.cases.get(key)
    if desk.decide(case, word, desk.hold) and case is not None:
        judged = device.judged.setdefault(case.signal, {})
        for customer in case.members if word.outcome == RELEASED else case.held:
            judged[hashed(customer)] = word.outcome
        desk.say(case, word.subject)
        look_again(desk, word.subject, device)


def erase(desk: Desk, name: str, device: Device, customer: str) -> None:
    """Takes an account out, and out of every case that names it."""
    device.accounts.pop(customer, None)
    named = [case for case in device.cases.values() if customer in case.members or customer in case.held]
    for case in named:
        desk.leave_out(case, customer)
    look_again(desk, name, device)
    for case in named:
        case.revision += 1
        desk.say(case, name)
