"""Trials of coupons: each that was given, or held back to compare, and what came of it, told anew when that changes."""

from __future__ import annotations

from msgspec import Struct, json, msgpack

from features.offers import Scored
from features.times import DAY_MS

START = b'{"type":"arm"'  # of a trial in the topic of examples
HOLDOUT = "(holdout)"  # the arm of those who get no coupons of any rule; no rule can call one so
NOVELTY_MS = 14 * DAY_MS  # since a customer first got an arm of a rule, it is new to them
LATE_MS = DAY_MS  # after the coupon has run out, what came of it may still be told for so long


class Trial(Struct, tag="arm"):
    """An arm that was chosen for a customer, and what has come of it up to `now_ms`; a higher revision replaces a
    lower one. Whoever reads trials learns from each once, a day after its coupon has run out.

    `scored`, `first` and `design` are told with the first revision only.
    """

    decision: str
    rule: str
    arm: str
    context: str
    propensity: float
    nothing: bool
    at_ms: int
    expires_ms: int
    now_ms: int
    revision: int
    ordered: bool
    redeemed: bool
    reward_cents: int
    withdrawn: bool = False  # the customer never got it, or was forgotten: nothing is learned from it
    scored: dict[str, Scored] = {}
    exposed_ms: int = 0  # when the customer first got an arm of the rule; 0: it is not known
    first: bool = False  # this is that arm
    design: str = ""  # of a rule with fixed shares: hash of its arms and their weights

    @property
    def name(self) -> str:
        """Of its record and its timer: the rule can be read from it."""
        return f"trial|{self.rule}|{self.decision}"

    @property
    def due_ms(self) -> int:
        return self.expires_ms + LATE_MS


class Pending(Struct, array_like=True):
    """What is kept of a trial until it is learned from."""

    arm: str
    context: str
    nothing: bool
    due_ms: int
    revision: int
    ordered: bool
    redeemed: bool
    reward_cents: int
    withdrawn: bool = False
    at_ms: int = 0
    scored: dict[str, Scored] = {}
    exposed_ms: int = 0

    @property
    def is_early(self) -> bool:
        """To a customer to whom the rule was new; where that is not known it counts as later."""
        return self.exposed_ms > 0 and self.at_ms < self.exposed_ms + NOVELTY_MS


encode_trial = json.Encoder().encode
decode_trial = json.Decoder(Trial).decode
encode_pending = msgpack.Encoder().encode
decode_pending = msgpack.Decoder(Pending).decode


def trials_key(rule: str) -> str:
    """Under which the trials of a rule are sent, and what they came to is kept."""
    return f"arms|{rule}"


def rule_of(name: str) -> str:
    """Of a trial's record."""
    return name.split("|")[1]


def pending(trial: Trial) -> Pending:
    return Pending(
        trial.arm,
        trial.context,
        trial.nothing,
        trial.due_ms,
        trial.revision,
        trial.ordered,
        trial.redeemed,
        trial.reward_cents,
        trial.withdrawn,
        trial.at_ms,
        trial.scored,
        trial.exposed_ms,
    )
