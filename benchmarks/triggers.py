"""Precision and recall of every shipped rule against what the simulated chain knows of its members.

python -m benchmarks.triggers [--days 42] [--members 1500] [--stores 8] [--seed 1] [--horizon 10d] [--quick]
                              [--json FILE]

The chain's records go through ingest's cleaning, the customers job and the learning job, all in this process, under the
shipped settings and rules. A trigger has found something when its condition held, whatever the policy made of it.

Every rule is judged moment by moment against its sentence, said over what members did and not over what came of it
(benchmarks/sentences.py): what it misses came too late, or in disorder, or under a name that nobody could know then.
cart-left and bad-rating are judged by what the chain itself calls an abandoned cart and a disappointment, too. The
win-back family is judged by member as well: it is right where the member had lapsed by then, and it has missed those
who lapsed, long enough before the end for a rule to look, and of whom it never said so. Quiet hours are left out.
`members` is the share of all members whom a rule ever meant, `issued` what they got.
"""

from __future__ import annotations

import argparse
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct, to_builtins
from msgspec.structs import replace
from rich.table import Table as Shown

from alerts.triggers.decide import Decider
from alerts.triggers.job import CustomersJob
from alerts.triggers.policy import Policy
from alerts.triggers.referrals import Settling
from alerts.triggers.rule import After, Rule
from benchmarks.decisions import decisions_in
from benchmarks.house import out, progress
from benchmarks.oracles import World, members_of, moments, name_of, weather_of
from benchmarks.sentences import ORACLES
from brewline.results import write_json
from config.settings import Settings, load
from features.clean import Cleaner
from features.course import subjects
from features.identity import Pseudonyms, Table, merged_key
from features.job import Batch, Job, Message
from features.labels import labels_of
from features.learning import LearningJob
from features.loop import Store, run
from features.stores import read_stores
from features.tasks import GAPS
from features.times import DAY_MS, HOUR_MS, MINUTE_MS, parse_duration
from features.versions import champion
from flows.files import load_catalog, load_limits
from flows.learning import publishing
from flows.rules import load_calendars, load_conditions, load_rules
from sim import Chain, Truth
from sim.wire import AUDIT, POS

STRETCH_MS = 2 * HOUR_MS  # of stream time in one batch
FAMILY = "winback"
RAREST_MS = 5 * DAY_MS  # between the visits of those who come least
SLACK_MS = 2 * DAY_MS  # between the last visit and the lapse, as a rule
MODEL = "churn_risk"
SHARES = ("precision", "recall")
SLACK_END_MS = MINUTE_MS  # what happens in the last minute may not be decided any more


class Decision(NamedTuple):
    customer: str
    at_ms: int
    outcome: str


class Verdict(Struct):
    """`found`: moments or decisions; `missed`: of what was there to be found."""

    found: int
    right: int
    there: int
    missed: int

    @property
    def shares(self) -> tuple[float | None, float | None]:
        """Precision, recall; None of nothing."""
        return _share(self.right, self.found), _share(self.there - self.missed, self.there)


class Life(Struct):
    """What a chain has lived through, and what was decided in it."""

    truth: Truth
    end_ms: int
    members: int
    customers: dict[str, str]  # app id → customer
    decisions: dict[str, list[Decision]]  # by rule
    said: dict[str, set[tuple[str, int]]] = {}  # by rule: of whom, and when, its sentence is true


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=42, help="length of the chain's life")
    parser.add_argument("--members", type=int, default=1_500)
    parser.add_argument("--stores", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1, help="the same seed is the same chain")
    parser.add_argument("--horizon", default="10d", help="without an order for so long is churn, to the model")
    parser.add_argument("--quick", action="store_true", help="24 days of 300 members")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    if asked.quick:
        asked.days, asked.members = 24, 300
    chain = Chain(asked.seed, asked.stores, asked.members, asked.days)
    settings = load(environ={})
    rules = [rule for rule, _, _ in load_rules(settings)]
    life = live(chain, settings, asked.horizon)
    verdicts = judged(life, rules)
    _show(life, rules, verdicts)
    triggers = {name: _told(verdict) for name, verdict in verdicts.items()}
    sentences = {rule.id: by_sentence(life, rule.id) for rule in rules}
    reached = {rule.id: reach(life, rule.id) | _told(sentences[rule.id]) for rule in rules}
    asked_for = {name: getattr(asked, name) for name in ("days", "members", "stores", "seed", "horizon")}
    write_json(asked.json, {**asked_for, "triggers": triggers, "rules": reached})


def _told(verdict: Verdict) -> dict[str, Any]:
    return {**to_builtins(verdict), **dict(zip(SHARES, verdict.shares, strict=True))}


def live(chain: Chain, settings: Settings, horizon: str = "10d") -> Life:
    """The chain's life from its records to decisions. Raises ValueError when members turn out to be one."""
    chain.witness = []
    job, learning = _jobs(settings, horizon)
    table, pseudonyms = Table(), Pseudonyms(b"a benchmark's key", "CN")
    customers, learned = Log("events", job), Log("examples", learning)
    decisions: dict[str, list[Decision]] = defaultdict(list)
    with progress() as bar:
        batches = bar.track(cleaned(chain, settings, pseudonyms, table), _stretches(chain), description="the chain")
        for sent in map(partial(_heard_back, customers), batches):
            learned.append([message.value for message in sent if message.topic == "examples"])
            if model := champion(MODEL, learning.subjects[MODEL].layout, learned.store.records):
                job.decider.models[MODEL] = model
            for told in (one for m in sent if m.topic == "decisions" for one in decisions_in(m.value)):
                decisions[told["rule"]].append(Decision(told["customer"], told["at_ms"], told["outcome"]))
    accounts = {name_of(event.who) for _, event in chain.witness if event.who is not None}
    members = accounts | {f"app-{n + 1:06d}" for n in range(chain.customers)}
    names = {name: pseudonyms.one("app_id", name) for name in sorted(members)}
    known = {app_id: table.links[name] for app_id, name in names.items() if name in table.links}
    if any(merged_key(customer) in table.links for customer in known.values()):
        raise ValueError("members were merged: what was decided of them stands under two names")
    return Life(chain.truth, chain.end_ms, len(names), known, decisions, _said(chain, settings, known))


def _said(chain: Chain, settings: Settings, customers: dict[str, str]) -> dict[str, set[tuple[str, int]]]:
    """By rule: of whom, and when, its sentence is true."""
    deeds, places = chain.witness or [], [line.split(",") for line in chain.stores_csv().splitlines()[1:]]
    spans = load_calendars(settings).days.items()
    holidays = {name: [(date.fromordinal(a), date.fromordinal(b)) for a, b in days] for name, days in spans}
    zones, regions = {s: ZoneInfo(tz) for s, _, tz in places}, {s: region for s, region, _ in places}
    members = members_of(deeds, World(zones, regions, weather_of(deeds), holidays), chain.end_ms)
    found = {
        (id, app_id): moments(oracle, member, chain.end_ms)
        for app_id, member in members.items()
        for id, oracle in ORACLES.items()
    }
    said: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for (id, app_id), times in found.items():
        said[id] |= {(customers[app_id], at_ms) for at_ms in times}
    return said


def _jobs(settings: Settings, horizon: str) -> tuple[CustomersJob, LearningJob]:
    """As the flows make them, but for the horizons of models that wait for the next order."""
    catalog, coupons = load_catalog(settings), settings.coupons
    waiting = {name: task for name, task in catalog.tasks.items() if task.target in GAPS and not task.rhythms}
    shorter = {name: replace(task, horizon=horizon) for name, task in waiting.items()}
    catalog = replace(catalog, tasks=catalog.tasks | shorter)
    conditions = load_conditions(catalog, load_rules(settings))
    window_ms, holdout = parse_duration(coupons.cap_window), coupons.holdout_percent / 100
    policy = Policy(coupons.cap, window_ms, holdout, coupons.holdout_salt, coupons.require_consent)
    decider = Decider(catalog, conditions, policy, "coupons", "decisions")
    learning = LearningJob(subjects(catalog), publishing(settings), "alerts", "dead-letters")
    thanks = Settling("events", parse_duration(coupons.referral_settling))
    return CustomersJob(
        catalog, decider, labels_of(catalog), "examples", "dead-letters", settling=thanks, partition_keys=["p0"]
    ), learning


class Log:
    """A topic of one partition, and a job that has read it to the end."""

    def __init__(self, topic: str, job: Job) -> None:
        self.topic, self.job, self.store, self.end = topic, job, Store(), 0

    def append(self, values: list[bytes]) -> list[Message]:
        """What the job sends because of them."""
        offsets = [*range(self.end, self.end + len(values))]
        run(self.job, [Batch(self.topic, 0, self.end - 1, offsets, values, [0] * len(values))], {0: self.store})
        self.end += len(values)
        sent, self.store.sent = self.store.sent, []
        return sent


def _heard_back(customers: Log, values: list[bytes]) -> list[Message]:
    """What the job sends, also because of what it sent: thanks for a friend are an event of the one who brought."""
    sent = customers.append(values)
    said = [message.value for message in sent if message.topic == customers.topic]
    return sent + _heard_back(customers, said) if said else sent


def _stretches(chain: Chain) -> int:
    return -(-(chain.end_ms - chain.start_ms) // STRETCH_MS)


def cleaned(chain: Chain, settings: Settings, pseudonyms: Pseudonyms, table: Table) -> Iterator[list[bytes]]:
    """Clean events by stretch, in order of sending; of the ticks, which come for each topic, one a minute."""
    lines = chain.stores_csv().splitlines()
    stores = read_stores(lines, settings.stores.timezone, "stores.csv")
    cleaner = Cleaner(load_limits(settings), pseudonyms, stores, "events", "dead-letters", "identities", ["0"], 1)
    held: list[tuple[int, bytes]] = []
    for record in chain.records():
        if record.topic == AUDIT or (record.tick and record.topic != POS):
            continue
        held.append((record.at_ms, record.value))
        if record.tick and ((record.at_ms - chain.start_ms) % STRETCH_MS == 0 or record.at_ms == chain.end_ms):
            stamps_ms, values = (list(each) for each in zip(*held, strict=True))
            batch = Batch("chain", 0, -1, [*range(len(held))], values, stamps_ms)
            messages, _, _ = cleaner.finish(cleaner.check(batch), table)
            yield [message.value for message in messages if message.topic == "events"]
            held = []


def judged(life: Life, rules: list[Rule]) -> dict[str, Verdict]:
    """By trigger, the win-back family as a whole and rule by rule."""
    by_id, truth = {rule.id: rule for rule in rules}, life.truth
    moments: dict[str, list[Any]] = {
        "cart-left": truth.abandoned,
        "bad-rating": truth.disappointed,
    }
    verdicts = {}
    for id, there in moments.items():
        after = by_id[id].after
        wait_ms = after.longest_ms(0) if after else 0
        known = {(life.customers[one.app_id], one.at_ms) for one in there if one.at_ms + wait_ms < life.end_ms}
        verdicts[id] = _by_moment({(d.customer, d.at_ms - wait_ms) for d in life.decisions[id]}, known)
    family = [rule for rule in rules if rule.group == FAMILY]
    verdicts[f"{FAMILY}, all"] = _by_member(life, family)
    return verdicts | {rule.id: _by_member(life, [rule]) for rule in family}


def by_sentence(life: Life, rule: str) -> Verdict:
    """Moments at which the rule's condition held against those at which its sentence is true."""
    end_ms = life.end_ms - SLACK_END_MS
    found = {(d.customer, d.at_ms) for d in life.decisions.get(rule, []) if d.at_ms < end_ms}
    there = {one for one in life.said.get(rule, ()) if one[1] < end_ms}
    right, missed = _near(found, there), len(there) - _near(there, found)
    return Verdict(len(found), right, len(there), missed)


def _near(some: set[tuple[str, int]], others: set[tuple[str, int]]) -> int:
    """How many have one of the others within a second."""
    times = sorted(others)
    places = {one: bisect_left(times, (one[0], one[1] - 1_000)) for one in some}
    return sum(
        p < len(times) and times[p][0] == who and times[p][1] <= at_ms + 1_000 for (who, at_ms), p in places.items()
    )


def _by_moment(found: set[tuple[str, int]], known: set[tuple[str, int]]) -> Verdict:
    return Verdict(len(found), len(found & known), len(known), len(known - found))


def _by_member(life: Life, rules: list[Rule]) -> Verdict:
    lapsed_ms = {life.customers[lapse.app_id]: lapse.from_ms for lapse in life.truth.lapsed}
    wait_ms = min(_wait_ms(rule.after) for rule in rules if rule.after)
    found = [decision for rule in rules for decision in life.decisions[rule.id]]
    right = [d for d in found if lapsed_ms.get(d.customer, life.end_ms) <= d.at_ms]
    there = {customer for customer, from_ms in lapsed_ms.items() if from_ms + wait_ms + SLACK_MS < life.end_ms}
    return Verdict(len(found), len(right), len(there), len(there - {d.customer for d in right}))


def _wait_ms(after: After) -> int:
    """Of a rhythm, that of the rarest guests."""
    return round(after.rhythms * RAREST_MS) if after.rhythms else after.wait_ms


def reach(life: Life, rule: str) -> dict[str, Any]:
    """How often a rule's condition held, of how many of the members, and what became of it."""
    decisions = life.decisions[rule]
    members = len({decision.customer for decision in decisions}) / life.members
    return {"held": len(decisions), "members": round(members, 3), **Counter(d.outcome for d in decisions)}


def _show(life: Life, rules: Iterable[Rule], verdicts: dict[str, Verdict]) -> None:
    _print("against the rules' sentences", {rule.id: by_sentence(life, rule.id) for rule in rules})
    _print("against what the chain knows", verdicts)
    reached = Shown("rule", "held", "members", "issued", "kept back", title="the rules")
    for rule in rules:
        counts = reach(life, rule.id)
        held, members, issued = counts.pop("held"), counts.pop("members"), counts.pop("issued", 0)
        others = ", ".join(f"{name} {n:,}" for name, n in sorted(counts.items()))
        reached.add_row(rule.id, f"{held:,}", f"{members:.1%}", f"{issued:,}", others)
    out.print(reached)


def _print(title: str, verdicts: dict[str, Verdict]) -> None:
    shown = Shown("trigger", "found", "right", "precision", "there", "missed", "recall", title=title)
    for name, v in verdicts.items():
        precision, recall = ("–" if share is None else f"{share:.3f}" for share in v.shares)
        shown.add_row(name, f"{v.found:,}", f"{v.right:,}", precision, f"{v.there:,}", f"{v.missed:,}", recall)
    out.print(shown)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


if __name__ == "__main__":
    main()
