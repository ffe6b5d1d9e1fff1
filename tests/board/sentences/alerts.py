"""What is told of KPIs, service promises, models, experiments and staff."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import msgspec
import numpy as np

from alerts.kpis import telling
from alerts.kpis.incident import Incident as KpiIncident
from alerts.kpis.incident import Sight
from alerts.kpis.series import ALIVE_MINUTES, NAMES
from alerts.kpis.telling import Teller
from alerts.notices.alert import read_alert
from alerts.security import baseline, cases, habits, leaks, spoken, told
from alerts.security.fields import NAMES as FIELDS
from alerts.security.fields import NUMBERS
from alerts.security.finding import Rule
from alerts.security.habits import Habit, Peers
from alerts.security.moments import Moments
from alerts.security.networks import Address
from alerts.security.sigma import load
from alerts.service import telling as service
from alerts.service.ticket import COMPLAINT, DELIVERY, LEAD, RATING, Opening, Told
from alerts.service.timeline import FIRST, RESOLUTION, Moment
from alerts.sigma.correlating import KINDS, OPERATORS
from brewline.results import ROOT
from features import events as e
from features.messages import cloudevent
from features.mismatch import Divided
from features.mismatch import alert as mismatch
from features.quality import BASELINES
from features.watch import INPUTS, LOSS, WORSE, Alerts, Incident, Watch
from tests.board.sentences.sentence import Sentence, written

AT_MS = 1_777_880_000_000
DIMS = (
    *("chain:*", "region:east", "channel:app", "campaign:happy-hour", "category:milk_tea"),
    *("region+category:east+milk_tea", "store:S020"),
)
RULES = [(str(path), path.read_text()) for path in sorted((ROOT / "config/rules/security").glob("*.yml"))]


def sentences() -> list[Sentence]:
    return [*kpis(), *promises(), *models(), *experiments(), *findings(), *risks()]


def kpis() -> Iterator[Sentence]:
    where, names = "alerts/kpis/telling.py", ("happy-hour", "east", "app", "S020", "milk_tea")
    for series, dim, side, p in product(range(len(NAMES)), DIMS, (-1, 1), (1e-6, 1.0)):
        others = [series] if side < 0 else [series, (series + 1) % len(NAMES), (series + 2) % len(NAMES)]
        one = KpiIncident("mark", dim, series, side, 29_000_000, [(dim, series)], others)
        sight = Sight(0.788, 0.552, 0.4, 0.6, p, 60, 0)
        for campaign, line, state, stores in (
            ("", "", "firing", 1),
            ("campaign:happy-hour", "", "firing", 1200),
            ("", "region+category:east+milk_tea", "firing", 12),
            ("", "", "resolved", 0),
        ):
            view: Any = SimpleNamespace(
                minute=29_000_000,
                campaign_of=lambda *_, campaign=campaign: campaign,
                line_of=lambda *_, line=line: line,
            )
            teller = Teller("alerts", None)  # type: ignore[arg-type]
            yield Sentence(teller._why(view, one, state, sight, stores), "why", where, names)  # type: ignore[arg-type]
        teller.break_off(one, 29_000_000, 60)
        yield Sentence(msgspec.json.decode(teller.messages[-1].value)["data"]["why"], "why", where, names)
    for text, put_in, at in written(where, ("_say",), 4):
        yield Sentence(text.replace(put_in[0], "region:east"), "why", at, names)
    for series, direction in product(range(len(NAMES)), ("low", "high")):
        if series != ALIVE_MINUTES or direction == "low":
            yield _titled("kpi", dim="chain:*", series=telling.shown(series), direction=direction)


def _titled(kind: str, names: tuple[str, ...] = (), **data: Any) -> Sentence:
    told = cloudevent("alerts", "k", "id", f"alert.{kind}", kind, AT_MS, "k", {"state": "firing", **data})
    return Sentence(read_alert(told.value).title, "title", "alerts/notices/alert.py: _title", names)


def promises() -> Iterator[Sentence]:
    where, names = "alerts/service/telling.py: _alert", ("case00054825", "S020", "other", "store-manager")
    every = product(
        (COMPLAINT, RATING, LEAD, DELIVERY), (FIRST, RESOLUTION), ("", "S020"), ("", "store-manager"), (0, 1)
    )
    for kind, clock, store, to, withdrawn in every:
        opening, moment = Opening(AT_MS, kind, store=store), Moment(AT_MS, "breached", 1, clock, AT_MS, to=to)
        told = service._alert("case00054825", opening, moment, Told(AT_MS, AT_MS, "other", withdrawn=bool(withdrawn)))
        yield Sentence(told["why"], "why", where, names)
        yield _titled("service", ("other",), **told)
    yield from (Sentence(kind, "ticket", "alerts/service/ticket.py") for kind in (COMPLAINT, RATING, LEAD, DELIVERY))
    states = re.findall(r'`state`: (.*)"""', (ROOT / "alerts/service/standing.py").read_text())[0]
    for state in re.findall(r"open|answered|settled|closed", states):
        yield Sentence(state, "standing", "alerts/service/standing.py")


def models() -> Iterator[Sentence]:
    where, names, alerts = "features/watch.py", ("churn_risk", "age_days", "orders_7d"), Alerts("alerts", 200)
    drifted = patch("features.watch.take_rows", return_value=[(0, "value of"), (1, "missing")])
    with drifted, patch("features.watch.has_risen", return_value=True):
        for best in BASELINES:
            losses = {name: 0.4 if name == best else 0.5 for name in BASELINES} | {"champion": 0.6}
            seen: Any = SimpleNamespace(
                seen=np.zeros((1, 5)), inputs=None, is_full=lambda _: True, mean_losses=lambda _, losses=losses: losses
            )
            signs = alerts._signs("churn_risk", seen, ["age_days", "orders_7d"], np.zeros((1, 2)), "logit")
            assert signs.keys() == {WORSE, LOSS, INPUTS}
            yield from (Sentence(sign.why, "why", where, names) for sign in signs.values())
            yield from (Sentence(name, "drift", where, names) for name in signs[INPUTS].inputs)
    for what in (WORSE, LOSS, INPUTS):
        watch = Watch(at_ms=AT_MS, incidents={what: Incident(AT_MS, 1, 1)})
        data = msgspec.json.decode(alerts._over("churn_risk", watch, what).value)["data"]
        yield Sentence(data["why"], "why", where, names)
        yield _titled("model", names, **data)


def experiments() -> Iterator[Sentence]:
    for over in (False, True):
        divided = Divided({"small": 1200, "large": 100}, {"small": 0.5, "large": 0.5}, AT_MS, over)
        names = ("winback-14d", "small", "large")
        data = mismatch("winback-14d", "design", divided)
        yield Sentence(data["why"], "why", "features/mismatch.py", names)
        yield _titled("experiment", names, **data)


def findings() -> Iterator[Sentence]:
    rules, _ = load(RULES)
    for rule in [*rules.detections, *rules.correlations]:
        if rule.alerts:
            yield _titled("security", title=rule.rule.title, rule=rule.rule.name)
    for rule in (baseline.RULE, cases.RULE):
        yield _titled("security", title=rule.title)
        yield Sentence(rule.name.replace("_", " "), "signal", "alerts/security")
    yield from detections()
    yield from windows()
    for action in _actions():
        yield Sentence(action, "action", "config/rules/security and alerts/security/told.py")
    yield from (Sentence(name, "field", "alerts/security/fields.py") for name in FIELDS)


def _actions() -> set[str]:
    """Those that shipped rules ask for, and those that the flow itself tells."""
    named = [*told.RECEIVED, *told.RECEIVED.values(), told.USED, told.BARRED, leaks.BACK, "export"]
    for _, text in RULES:
        for one, many in re.findall(r"action:(?: (\w+)|((?:\n +- \w+)+))", text):
            named += [one] if one else re.findall(r"\w+", many)
    return set(named)


def detections() -> Iterator[Sentence]:
    where, names = "alerts/security/spoken.py", ("analyst-03", "custom_action")
    event = e.AuditExport(id="e", time=AT_MS, actor="analyst-03", rows=20_000)
    rule = Rule("bulk_export", "id", "title", "high", ())
    for action, limit in product(("export", "custom_action"), ((), *((name, 5_000) for name in NUMBERS))):
        fields: Any = {"action": action, **dict.fromkeys(NUMBERS, 20_000)}
        detection: Any = SimpleNamespace(rule=rule, limit=limit)
        yield Sentence(spoken.of_detection(detection, event, fields, 0).why, "why", where, names)
    for new_hour in (False, True):
        unusual: Any = SimpleNamespace(new_hour=new_hour, rows_limit=300)
        yield Sentence(spoken.of_past(unusual, event, {"hour": 3}, 0).why, "why", where, names)


def windows() -> Iterator[Sentence]:
    by = spoken.By("analyst-03", "S020", 0)
    window = SimpleNamespace(observed=7, events=12, evidence=["e"], started_ms=AT_MS, at_ms=AT_MS, id="e")
    several = [SimpleNamespace(op=op, number=5) for op in OPERATORS]
    for kind, rising, limits, expression in (
        *((kind, True, several[:1], None) for kind in KINDS),
        ("event_count", False, several, None),
        ("temporal", True, [], "a and b"),
    ):
        rule = SimpleNamespace(
            rule=Rule("r", "id", "title", "high", ()), kind=kind, field="rows", percentile=95, parts="ab", group_by=(),
            timespan="30m", threshold=5.0, rising=rising, limits=limits, expression=expression,
        )  # fmt: skip
        fired: Any = SimpleNamespace(correlation=rule, values=(), window=window)
        yield Sentence(spoken.of_window(fired, by).why, "why", "alerts/security/spoken.py: of_window", ("analyst-03",))


def risks() -> Iterator[Sentence]:
    """Signals of all names, and what they come to."""
    found = [*signals()]
    assert {one.name for one in found} == habits.POINTS.keys(), (
        "a signal is not among these sentences: let `signals` make it"
    )
    event = e.AuditExport(id="e", time=AT_MS, actor="analyst-03", rows=20_000)
    names = ("analyst-03", "10.1.0.0/16", "phone", "Shanghai", "Shenzhen", "bulk export", "download")
    for one in found:
        yield Sentence(one.name.replace("_", " "), "signal", "alerts/security/habits.py: POINTS")
        yield Sentence(one.why, "why", "alerts/security/habits.py", names)
        reasons = [
            cases.Reason(AT_MS, one.name, 40.0, one.why, "e"),
            cases.Reason(AT_MS, "bulk_export", 60.0, BULK, "f"),
        ]
        case = cases.Case(score=120.0, at_ms=AT_MS, reasons=[*reasons, *reasons])
        yield Sentence(cases._risky(case, event, 0).why, "why", "alerts/security/cases.py: _risky", names)


BULK = "analyst-03 did export with rows 20000, the limit is 5000"


def signals() -> Iterator[habits.Signal]:
    usual = Moments(count=30, mean=3.0, variance=0.01)
    event = e.AuditExport(
        id="e", time=AT_MS, actor="analyst-03", rows=20_000, purpose="a mailing", device="d7", key="k7"
    )
    event.at_ms, event.fields, event.tz = AT_MS, ["phone"], "Asia/Shanghai"
    address = Address("10.1.0.0/16", "Shanghai", (31.2, 121.5))
    fields: Any = {"action": "export", "hour": 3, "weekday": 2}
    for habit, circles in ((Habit(volume=usual, breadth=usual), []), (Habit(), [Peers(volume=usual, breadth=usual)])):
        habit.customers = list(range(400))
        yield from habits._volumes(habit, circles, event, fields, 1)
        for action in ("export", "download"):
            yield from habits._news(habit, circles, event, {**fields, "action": action}, address, 1)
        yield from habits._hour(habit, fields)
        habit.at, habit.at_ms, habit.place = (22.5, 114.0), AT_MS - 600_000, "Shenzhen"
        yield from habits._journey(habit, event, address)
