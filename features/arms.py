"""What arms have brought, by context, and the shares in which they are given."""

from __future__ import annotations

from msgspec import Struct, field, json

from features.mismatch import Divided
from features.trials import Pending

FIRST, GROWTH = 10, 0.1  # a version is published when what was learned has grown by so many, and by this share


class ArmTotals(Struct):
    """Of one arm in one context. `open`: trials that can still bring something; `withdrawn`: those of which nothing is
    learned; all else counts those that are over.

    Whole numbers: whatever the order in which trials come, the totals are the same.
    """

    nothing: bool = False
    open: int = 0
    learned: int = 0
    ordered: int = 0
    redeemed: int = 0
    reward_cents: int = 0
    reward_squares: int = 0
    withdrawn: int = 0
    early: int = 0  # of `learned`, those of customers to whom the rule was new
    early_ordered: int = 0

    def withdraw(self) -> None:
        self.open -= 1
        self.withdrawn += 1

    def learn(self, trial: Pending) -> None:
        self.open -= 1
        self.learned += 1
        self.ordered += trial.ordered
        self.redeemed += trial.redeemed
        self.reward_cents += trial.reward_cents
        self.reward_squares += trial.reward_cents**2
        self.early += trial.is_early
        self.early_ordered += trial.is_early and trial.ordered

    def plus(self, other: ArmTotals) -> ArmTotals:
        sums = {name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__[1:]}
        return ArmTotals(self.nothing or other.nothing, **sums)

    @property
    def mean_cents(self) -> float:
        return self.reward_cents / self.learned if self.learned else 0.0

    @property
    def variance(self) -> float:
        """Of the rewards, in cents squared; 0 where fewer than two are known."""
        if self.learned < 2:
            return 0.0
        squares = self.reward_squares * self.learned - self.reward_cents**2
        return squares / self.learned / (self.learned - 1)


class Totals(Struct):
    """What the arms of one rule have brought, and which version of its weights was published last."""

    version: int = 0
    published: int = 0  # so many had been learned from then
    contexts: dict[str, dict[str, ArmTotals]] = field(default_factory=dict)
    designs: dict[str, Divided] = field(default_factory=dict)  # by hash of arms and weights, the latest last

    def arm(self, trial: Pending) -> ArmTotals:
        arms = self.contexts.setdefault(trial.context, {})
        return arms.setdefault(trial.arm, ArmTotals(trial.nothing))

    @property
    def learned(self) -> int:
        """Of arms; what came before the rule had any is no choice."""
        return sum(arm.learned for arms in self.contexts.values() for name, arm in arms.items() if name)

    @property
    def ripe(self) -> bool:
        choice = any(map(giving, self.contexts.values()))
        return choice and self.learned >= self.published + max(FIRST, GROWTH * self.published)


class Weights(Struct, frozen=True):
    """A published version: by context, how likely each arm is to be the best of those that give something."""

    rule: str
    version: int
    learned: int
    shares: dict[str, dict[str, float]]


encode_totals = json.Encoder().encode
decode_totals = json.Decoder(Totals).decode
encode_weights = json.Encoder().encode
decode_weights = json.Decoder(Weights).decode


def weights_key(rule: str) -> str:
    """Where the published version of a rule's weights is kept."""
    return f"weights|{rule}"


def together(totals: Totals) -> ArmTotals:
    """All arms that give something, in all contexts."""
    everything = ArmTotals()
    for arms in totals.contexts.values():
        for arm in giving(arms).values():
            everything = everything.plus(arm)
    return everything


def giving(arms: dict[str, ArmTotals]) -> dict[str, ArmTotals]:
    """Without the control, for nobody can redeem what they did not get, and what came before there were arms."""
    return {name: arm for name, arm in arms.items() if name and not arm.nothing}
