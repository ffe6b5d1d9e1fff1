"""From feature rows to decisions: scores, conditions, policy, receipts."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from alerts.coupons.lifecycle import Lifecycle
from alerts.coupons.walk import Walk
from alerts.triggers.arms import Arms
from alerts.triggers.brake import RELEASED, Brakes
from alerts.triggers.campaign import NONE, Campaigns
from alerts.triggers.candidates import Candidates
from alerts.triggers.condition import Conditions
from alerts.triggers.holding import Consent, nothing_said
from alerts.triggers.lease import Lease
from alerts.triggers.moments import Moments, Seen
from alerts.triggers.offered import Offered
from alerts.triggers.policy import Policy
from alerts.triggers.receipts.kept import NOTHING, Keeping
from alerts.triggers.round import Decided, Round
from features.catalog import Catalog
from features.customer import Applied
from features.models import LinearModel

NO_SENDS: Mapping[str, int] = {}


class Decider:
    """Evaluates all rules at all moments of a batch at once, then walks over those that held."""

    def __init__(
        self,
        catalog: Catalog,
        conditions: Conditions,
        policy: Policy,
        coupons_topic: str,
        decisions_topic: str,
        campaigns: Campaigns = NONE,
        keeping: Keeping = NOTHING,
        lifecycle: Lifecycle | None = None,
    ) -> None:
        """Without a `lifecycle`, coupons are issued and forgotten: for back-tests, which nobody redeems anything in."""
        self.catalog = catalog
        self.conditions = conditions
        self.columns = {name: i for i, name in enumerate(catalog.names)}
        self.policy = policy
        self.unheld = replace(policy, holdout=0.0)
        self.campaigns = campaigns
        self.coupons_topic = coupons_topic
        self.decisions_topic = decisions_topic
        self.keeping = keeping
        self.lifecycle = lifecycle
        self.models: dict[str, LinearModel] = {}
        self.arms = Arms(conditions.rules, policy.holdout_salt, policy.least_share)
        self.candidates = Candidates(catalog, conditions)
        self.offered = Offered(catalog, conditions.rules, conditions.names)

    def seen(self, moments: Moments, applied: Applied, words: Mapping[int, str]) -> Seen:
        """What conditions can look at."""
        return Seen(self.catalog, self.columns, self.models, moments, applied.rows, words, self.offered.offers)

    def decide(
        self,
        moments: Moments,
        applied: Applied,
        words: Mapping[int, str],
        lease: Lease,
        walk: Walk | None = None,
        sends: Mapping[str, int] = NO_SENDS,
        consent: Consent = nothing_said,
        brakes: Brakes = RELEASED,
    ) -> Decided:
        """Decides in log order, of timers that one tick has reached, the earliest due first; spends from the lease.

        What an event of the `walk` does to a coupon comes before what rules decide at that event. `sends`: when
        messages that are held for customers are due; `consent`: a customer's latest word on it before the batch;
        `brakes`: what is paused.
        """
        return Round(self, moments, applied, words, lease, consent, brakes).decide(walk, sends)
