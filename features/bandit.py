"""What arms have brought, by context; and from it how likely each is to be the best, by River's Thompson sampling.

Thompson sampling, because what it says are probabilities: they can be published, kept above a floor, and told with
each decision, where the bounds of LinUCB name one arm. Over Gaussian means, because rewards are money; Beta is for
yes or no.

Source: Russo et al., A Tutorial on Thompson Sampling (2018); the posterior of a mean of which the variance is unknown:
Murphy, Conjugate Bayesian analysis of the Gaussian distribution (2007), section 3.
"""

from __future__ import annotations

from collections import Counter
from zlib import crc32

from msgspec import Struct, field, json
from river import bandit, proba, stats

from features.mismatch import Divided
from features.trials import Pending

DRAWS = 1_000  # of the posterior; a share is known to one or two hundredths
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
        choice = any(map(_giving, self.contexts.values()))
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


class MeanReward(proba.Gaussian):
    """River's Gaussian, but what it draws is a mean that the rewards may have, where River draws another reward.

    Such draws come the closer together the more rewards are known. `usual_cents`: a reward that is thought to be known
    from the beginning, with the variance that rewards have on the whole.
    """

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(seed)  # type: ignore[no-untyped-call]
        self.usual_cents = 0.0
        self.usual_variance = 1.0

    @classmethod
    def of(cls, arm: ArmTotals, everything: ArmTotals, seed: int) -> MeanReward:
        found = cls(seed)
        found._var = stats.Var._from_state(arm.learned, arm.mean_cents, arm.variance)
        found.usual_cents, found.usual_variance = everything.mean_cents, max(everything.variance, 1.0)
        return found

    def sample(self) -> float:
        """From the marginal of the normal-inverse-gamma posterior: a precision, then a mean of that precision."""
        n, weight = self.n_samples, self.n_samples + 1.0
        squares = max(n - 1.0, 0.0) * self.sigma**2 + n / weight * (self.mu - self.usual_cents) ** 2
        precision = self._rng.gammavariate(1.0 + n / 2, 1.0 / (self.usual_variance + squares / 2))
        return float(self._rng.gauss((self.usual_cents + n * self.mu) / weight, (weight * precision) ** -0.5))


def publish(rule: str, totals: Totals) -> Weights:
    """The next version."""
    totals.version, totals.published = totals.version + 1, totals.learned
    everything = _together(totals)
    shares = {
        context: best_shares(_giving(arms), everything, crc32(f"{rule}|{totals.version}|{context}".encode()))
        for context, arms in sorted(totals.contexts.items())
    }
    return Weights(rule, totals.version, totals.published, {context: of for context, of in shares.items() if of})


def best_shares(arms: dict[str, ArmTotals], everything: ArmTotals, seed: int) -> dict[str, float]:
    """How likely each arm is to bring the most: how often River's policy pulls it."""
    if not arms:
        return {}
    policy = bandit.ThompsonSampling(reward_obj=MeanReward(), seed=seed)
    for name in sorted(arms):
        policy._rewards[name] = MeanReward.of(arms[name], everything, seed ^ crc32(name.encode()))
    pulled = Counter(policy.pull(sorted(arms)) for _ in range(DRAWS))
    return {name: pulled[name] / DRAWS for name in sorted(arms)}


def _together(totals: Totals) -> ArmTotals:
    """All arms that give something, in all contexts."""
    everything = ArmTotals()
    for arms in totals.contexts.values():
        for arm in _giving(arms).values():
            everything = everything.plus(arm)
    return everything


def _giving(arms: dict[str, ArmTotals]) -> dict[str, ArmTotals]:
    """Without the control, for nobody can redeem what they did not get, and what came before there were arms."""
    return {name: arm for name, arm in arms.items() if name and not arm.nothing}
