"""How likely each arm is to be the best, from what arms have brought, by River's Thompson sampling.

Thompson sampling, because what it says are probabilities: they can be published, kept above a floor, and told with
each decision, where the bounds of LinUCB name one arm. Over Gaussian means, because rewards are money; Beta is for
yes or no.

Source: Russo et al., A Tutorial on Thompson Sampling (2018); the posterior of a mean of which the variance is unknown:
Murphy, Conjugate Bayesian analysis of the Gaussian distribution (2007), section 3.
"""

from __future__ import annotations

from collections import Counter
from zlib import crc32

from river import bandit, proba, stats

from features.arms import ArmTotals, Totals, Weights, giving, together

DRAWS = 1_000  # of the posterior; a share is known to one or two hundredths


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
    everything = together(totals)
    shares = {
        context: best_shares(giving(arms), everything, crc32(f"{rule}|{totals.version}|{context}".encode()))
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
