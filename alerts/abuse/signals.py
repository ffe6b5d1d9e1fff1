"""What counts as a sign of abuse: the thresholds of `config/abuse.toml`, checked once, at load."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field

from alerts.triggers.gifts import WrongRule
from features.times import DAY_MS, parse_duration
from features.written import line_of, read_toml, told

Days = Annotated[str, Meta(pattern=r"^[1-9]\d*d$")]
Duration = Annotated[str, Meta(pattern=r"^[1-9]\d*[smhd]$")]
Least = Annotated[int, Meta(ge=1, le=10_000)]
DEVICE, RING, LOOP = "device", "ring", "loop"
LATE_MS = 7 * DAY_MS  # how late a fact may come and still be seen beside all it belongs to


class DeviceSignal(Struct, frozen=True, forbid_unknown_fields=True):
    """More accounts than `accounts_over` were seen on one device within so many calendar days (UTC)."""

    accounts_over: Least
    within: Days


class RingSignal(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody has brought so many friends within these days, all of them seen on a device the referrer was seen on."""

    friends: Least
    within: Days


class LoopSignal(Struct, frozen=True, forbid_unknown_fields=True):
    """Of the orders paid with coupons within these days, so many were given back, and they are this share of them."""

    refunds: Least
    share: Annotated[float, Meta(gt=0, le=1)]
    within: Days


class Allow(Struct, frozen=True, forbid_unknown_fields=True):
    """What many may share honestly: devices, by pseudonym, and channels, such as that of a store's tablet."""

    devices: list[str] = []
    channels: list[str] = []


class Signals(Struct, frozen=True, forbid_unknown_fields=True):
    """`hold`: how long customers are held when nobody reviews the case."""

    device: DeviceSignal
    ring: RingSignal
    loop: LoopSignal
    hold: Duration = "7d"
    allow: Allow = field(default_factory=Allow)

    @property
    def hold_ms(self) -> int:
        return parse_duration(self.hold)

    @property
    def kept_ms(self) -> int:
        """How long a fact is kept."""
        return max(parse_duration(signal.within) for signal in (self.device, self.ring, self.loop)) + LATE_MS


PARTS: dict[str, type[Struct]] = {
    "": Signals,
    "device": DeviceSignal,
    "ring": RingSignal,
    "loop": LoopSignal,
    "allow": Allow,
}


def read_signals(text: str, file: str) -> Signals:
    """The signals of a file's text. Raises WrongRule."""
    raw = read_toml(text, file, WrongRule, Signals.__struct_fields__)
    try:
        signals = msgspec.convert(raw, Signals)
    except msgspec.ValidationError as error:
        raise WrongRule(told(error, raw, text, file, PARTS)) from error
    for device in signals.allow.devices:
        if not device.startswith("device:"):
            raise WrongRule(
                f"{file}:{line_of(text, device)}: allow.devices: found {device!r}, expected a pseudonym as it stands in"
                " a review, such as 'device:0b6e...'"
            )
    return signals
