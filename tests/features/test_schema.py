"""The written contract is current, says what the code does, and covers every topic, message and field."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from alerts.coupons.code import Codes
from alerts.coupons.lifecycle import Lifecycle
from alerts.kpis.closing import Ways
from alerts.kpis.ledger import Topics
from alerts.kpis.merge import MergedMinutes
from alerts.kpis.partials import PartialMinutes
from alerts.notices.standing import Action, notice_message, word_message
from alerts.security.finding import Finding, Rule
from alerts.triggers.condition import over_catalog
from alerts.triggers.decide import Decider
from alerts.triggers.gifts import Arm, Then
from alerts.triggers.job import CustomersJob
from alerts.triggers.policy import Policy
from alerts.triggers.rule import Rule as CouponRule
from alerts.triggers.rule import read_rule
from benchmarks.decisions import decisions_in
from config.settings import load
from features import asyncapi, schema
from features import events as e
from features.check import Limits, check
from features.clean import Cleaner
from features.glossary import EVENTS, FIELDS, HEADERS, REASONS
from features.identity import Pseudonyms, Table
from features.job import Batch
from features.labels import Examples
from features.loop import batches, run
from features.messages import Refused, cloudevent, dead_letter
from features.outgoing import AlertWord, Notice
from features.partitions import partition_keys
from features.stores import Stores
from features.times import DAY_MS, parse_time
from features.versions import START, Appointment, encode_appointment
from features.watch import Alerts, Watch
from flows.files import load_catalog
from flows.topics import TOPICS
from sim.faults import AUDIT_REASONS, EVENT_REASONS, spoil
from tests.alerts.triggers.jobs import FREE, churn_labels, customers_job
from tests.oracle_kpis import SHIPPED

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
NOW_MS = parse_time("2026-05-01T09:00:00+08:00")
LIMITS = Limits(max_event_bytes=1_000_000, earliest_ms=0, max_future_ms=DAY_MS)
CLEANER = Cleaner(
    limits=LIMITS,
    pseudonyms=Pseudonyms(b"k" * 16, "CN"),
    stores=Stores("Asia/Shanghai"),
    events_topic="events",
    dead_letters_topic="dead-letters",
    identities_topic="identities",
    tick_keys=["p"],
    sources=1,
)
UNSEEN_BY_SCHEMAS = {"malformed", "absurd_time", "identity", "too_large"}  # a schema knows neither clocks nor phones
CODES = Codes(b"k" * 16)
CONTRACT = asyncapi.document()


@cache
def validator(part: str, name: str) -> Draft7Validator:
    """Of `messages` (their payload) or `schemas`."""
    pointer = f"#/components/{part}/{name}" + ("/payload" if part == "messages" else "")
    return Draft7Validator({"allOf": [{"$ref": pointer}], "components": CONTRACT["components"]})


def complaints(message: str, value: bytes) -> list[str]:
    return [error.message for error in validator("messages", message).iter_errors(json.loads(value))]


def fields_of(shape: str) -> set[str]:
    return set(CONTRACT["components"]["schemas"][shape]["properties"])


def sent(kind: str) -> bytes:
    """The example of the contract, as one of our own senders would encode it."""
    return e.encode(msgspec.convert(asyncapi.sample(kind), asyncapi.RECEIVED[kind]))


def refusal(kind: str, value: bytes) -> str:
    """Why the flow that reads this refuses it; empty if it does not."""
    audit = kind not in e.CUSTOMER_EVENTS
    try:
        if audit:
            check(value, e.decode_audit, e.AUDIT_EVENTS, LIMITS, NOW_MS)
            return ""
        cleaned = CLEANER.check(Batch("pos.events", 0, -1, [0], [value], [NOW_MS]))
    except Refused as refused:
        return refused.reason
    return "".join(refused.reason for _, refused in cleaned.refused)


def test_the_written_files_are_current() -> None:
    for path, text in schema.files().items():
        assert path.read_text("utf-8") == text, f"{path.name} is out of date: run python -m features.schema"


def test_every_topic_of_the_flows_is_in_the_contract() -> None:
    assert {topic.name for topic in asyncapi.TOPICS} == set(TOPICS) == set(CONTRACT["channels"])


def test_the_contract_bears_the_version_of_the_package() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"] == asyncapi.VERSION


def test_every_reference_points_to_something() -> None:
    def references(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            yield from [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            yield from references(inner)

    for reference in set(references(CONTRACT)):
        found = CONTRACT
        for key in reference.removeprefix("#/").split("/"):
            found = found[key]


def test_every_word_of_the_glossary_is_used_and_no_event_is_explained_twice() -> None:
    shapes = CONTRACT["components"]["schemas"]
    used = {f"{name}.{field}" for name, shape in shapes.items() for field in shape["properties"]}
    plain = {field for _, _, field in (name.partition(".") for name in used - FIELDS.keys())}
    assert FIELDS.keys() == used & FIELDS.keys() | plain
    explained = {kind for kind, shape in asyncapi.RECEIVED.items() if shape.__doc__}
    assert EVENTS.keys() == asyncapi.RECEIVED.keys() - explained
    assert HEADERS.keys() == asyncapi.dead_letter_headers()["properties"].keys()


@pytest.mark.parametrize("kind", asyncapi.RECEIVED)
def test_an_example_of_each_event_is_taken_by_its_flow_and_fits_its_schema(kind: str) -> None:
    for value in (sent(kind), json.dumps(asyncapi.sample(kind)).encode()):
        assert refusal(kind, value) == ""
        assert complaints(kind, value) == []


@pytest.mark.parametrize("kind", asyncapi.RECEIVED)
def test_an_event_spoilt_in_any_way_is_refused_and_does_not_fit_its_schema(kind: str) -> None:
    rng = Random(7)
    reasons = EVENT_REASONS if kind in e.CUSTOMER_EVENTS else AUDIT_REASONS
    for reason in (reason for reason in reasons if reason not in UNSEEN_BY_SCHEMAS):
        broken = spoil(sent(kind), reason, "x1", rng)
        assert refusal(kind, broken) == reason
        assert complaints(json.loads(broken)["type"] if reason != "unknown_type" else kind, broken)


@pytest.mark.parametrize("kind", asyncapi.RECEIVED)
def test_an_event_without_one_of_its_required_fields_does_not_fit(kind: str) -> None:
    whole = asyncapi.sample(kind)
    required = {"type", "id", "time", *CONTRACT["components"]["schemas"][asyncapi.RECEIVED[kind].__name__]["required"]}
    required |= set() if asyncapi.RECEIVED[kind].anonymous else {"who"}
    for field in required:
        partial = json.dumps({name: value for name, value in whole.items() if name != field}).encode()
        assert refusal(kind, partial), field
        assert complaints(kind, partial), field


scalars = st.none() | st.booleans() | st.text(max_size=140) | st.integers(-(10**15), 10**15) | st.floats(0.1, 0.9)
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.sampled_from(["phone", "sku", "qty"]), scalars)


def changes_of(kind: str) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    names = st.sampled_from([*asyncapi.RECEIVED[kind].__struct_fields__, "unheard_of"])
    return st.tuples(st.just(kind), st.dictionaries(names, values, max_size=2))


@given(st.sampled_from(sorted(asyncapi.RECEIVED)).flatmap(changes_of))
@settings(max_examples=300, deadline=None)
def test_schema_and_decoder_agree_on_what_is_an_event(change: tuple[str, dict[str, Any]]) -> None:
    kind, changed = change
    event = {**asyncapi.sample(kind), **changed}
    decode = e.decode_event if kind in e.CUSTOMER_EVENTS else e.decode_audit
    try:
        decode(json.dumps(event).encode())
        decodes = True
    except msgspec.ValidationError:
        decodes = False
    assert validator("schemas", asyncapi.RECEIVED[kind].__name__).is_valid(event) == decodes


def test_clean_events_fit_the_clean_topic_and_raw_ones_do_not() -> None:
    kinds = list(e.SENT_EVENTS)
    raw = [sent(kind) for kind in kinds]
    batch = Batch("pos.events", 0, -1, list(range(len(raw))), raw, [NOW_MS] * len(raw))
    messages, _, _ = CLEANER.finish(CLEANER.check(batch), Table())
    assert {message.topic for message in messages} == {"events", "identities", "weather"}
    clean = [message for message in messages if message.topic == "events"]
    (told,) = [message for message in clean if json.loads(message.value)["type"] in e.OWN]  # the friend of the referral
    assert complaints("clean.referred", told.value) == []
    clean.remove(told)
    assert [json.loads(message.value)["type"] for message in clean] == kinds
    for kind, message in zip(kinds, clean, strict=True):
        assert complaints(f"clean.{kind}", message.value) == []
        assert complaints(f"clean.{kind}", sent(kind))
        assert set(json.loads(message.value)).isdisjoint(asyncapi.SENDER_ONLY)


def test_coupons_and_decisions_are_as_described() -> None:
    text = """
        id = "thanks"
        on = ["order"]
        when = "orders_7d >= 1 AND (churn_risk > 0 OR hour >= 0)"
        then = { coupon = "TY", face_value_cents = 300 }
        cooldown = "1d"
        [[test]]
        name = "fires"
        events = [{ type = "login" }]
        fires_at = ["+0s"]
        [[test]]
        name = "is quiet"
        events = [{ type = "login" }]
        fires_at = []
    """
    catalog = load_catalog(load(environ={}))
    conditions = over_catalog([(read_rule(text, "r"), "r", text)], catalog)
    policy = Policy(cap=1, cap_window_ms=DAY_MS, holdout=0.0, holdout_salt="", consent="")
    job = CustomersJob(
        catalog,
        Decider(catalog, conditions, policy, "coupons", "decisions", lifecycle=Lifecycle("redemptions", CODES, DAY_MS)),
        churn_labels(DAY_MS),
        "examples",
        "dead-letters",
    )
    order = e.Order(id="o1", at_ms=NOW_MS, day=739_737, customer="c1", tz="UTC", lines=[e.Line("tea")], total_cents=1)
    later = e.Tick(id="t", at_ms=NOW_MS + 2 * DAY_MS, source="p", of=1)
    again = msgspec.structs.replace(order, id="o2", at_ms=NOW_MS + 1)
    messages = run(job, batches("events", 0, [e.encode(each) for each in (order, again, later)]))[0].sent
    assert [message.topic for message in messages] == ["coupons", "decisions", "decisions", *["examples"] * 3]
    shapes = {"coupon.issued": "IssuedCoupon", "decision": "Receipt"}
    for message, name in zip(messages[:4], ["coupon.issued", "decision", "decision", "example"], strict=True):
        assert complaints(name, message.value) == []
        if name != "example":
            assert json.loads(message.value)["data"].keys() == fields_of(shapes[name])


def test_refusals_that_are_told_together_are_as_described() -> None:
    rule = CouponRule(id="r", on=["view"], when="churn_risk > 0 OR hour >= 0", then=Then("m"), cooldown="1d")
    views = [e.View(id=f"v{n}", customer=f"c{n}", at_ms=NOW_MS, day=739_737, tz="UTC") for n in range(2)]
    job = customers_job([rule], msgspec.structs.replace(FREE, consent="marketing"))
    (told,) = run(job, batches("events", 0, [e.encode(view) for view in views]))[0].sent
    assert complaints("refusals", told.value) == []
    data = json.loads(told.value)["data"]
    assert data.keys() == fields_of("Refusals")
    assert [len(data[name]) for name in ("decision", "customer", "at_ms", "holdout")] == [2] * 4
    for data in decisions_in(told.value):
        alone = cloudevent("decisions", "", data["decision"], "decision", "decisions", data["at_ms"], "", data)
        assert complaints("decision", alone.value) == []
        assert data.keys() == fields_of("Receipt")
    shown = re.search(r"```python\n(def decisions.*?)```", (ROOT / "docs/receipts.md").read_text("utf-8"), re.DOTALL)
    assert shown, "docs/receipts.md shows receivers how to read them"
    exec(shown[1], names := dict[str, Any]())
    for one, data in zip(names["decisions"](json.loads(told.value)), decisions_in(told.value), strict=True):
        assert one == {name: data[name] for name in fields_of("Refusals")}


def test_minutes_are_as_described() -> None:
    events: list[e.Event] = [
        e.Order(id="o", at_ms=NOW_MS, store="s", lines=[e.Line("tea")], total_cents=1),
        e.Tick(id="t", at_ms=NOW_MS + 3_600_000, source="p", of=1),
    ]
    partials = PartialMinutes("kpi.partials", "dead-letters", partition_keys(1), 1, 48, SHIPPED)
    counted = run(partials, batches("events", 0, [e.encode(event) for event in events]))[0].sent
    ways = Ways(SHIPPED.names, ["p0"], 1)
    merged = MergedMinutes(Topics("kpi.minutes", "kpi.closings", "dead-letters"), 48, ways, SHIPPED)
    sent = run(merged, batches("kpi.partials", 0, [message.value for message in counted]))[0].sent
    minutes = [message for message in sent if message.topic == "kpi.minutes"]
    assert [message.key for message in minutes] == ["chain:*", "store:s"]
    for message in minutes:
        assert complaints("kpi.minute", message.value) == []
        assert json.loads(message.value)["data"].keys() == fields_of("KpiMinute")


def test_alerts_are_as_described() -> None:
    rule = Rule("bulk_export", "id", "Bulk export", "high", ("attack.t1048",))
    finding = Finding(rule, "a", "s", {"actor": "a"}, 9.0, 5.0, "why", ["e1"], 1, "e1", 1, 1).message("alerts")
    assert complaints("alert.security", finding.value) == []
    assert json.loads(finding.value)["data"].keys() == fields_of("Finding")


def test_notices_and_words_on_alerts_are_as_described() -> None:
    notice = Notice("opened", "k", "a", "kpi", "high", "store:s", "t", "why", {"dim": "store:s"}, 1, 1, NOW_MS)
    for action in get_args(Action):
        told = notice_message("notices", msgspec.structs.replace(notice, action=action))
        assert complaints(f"notice.{action}", told.value) == []
    assert json.loads(told.value)["data"].keys() == fields_of("Notice")
    word = word_message("alert.words", AlertWord("silenced", "s", "anna", NOW_MS))
    assert complaints("alert.silenced", word.value) == []
    assert json.loads(word.value)["data"].keys() == fields_of("AlertWord")


def test_examples_are_as_described() -> None:
    value = msgspec.json.encode(Examples("churn_risk", "layout", ["a"], [1], [2], [1.0], [[1.0, None]]))
    assert complaints("example", value) == []
    assert json.loads(value).keys() == fields_of("Examples")


def test_trials_and_the_arm_of_a_decision_are_as_described() -> None:
    arms = [Arm("a", coupon="A"), Arm("control", nothing=True)]
    rule = CouponRule(id="r", on=["view"], when="true", then=Then(arms=arms), cooldown="1d")
    view = e.View(id="v", customer="c1", at_ms=NOW_MS, day=739_737, tz="UTC")
    sent = run(customers_job([rule]), batches("events", 0, [e.encode(view)]))[0].sent
    (decision,) = [json.loads(message.value) for message in sent if message.topic == "decisions"]
    (trial,) = [message for message in sent if message.topic == "examples"]
    assert complaints("decision", json.dumps(decision).encode()) == []
    assert decision["data"]["arm"].keys() == fields_of("Drawn")
    assert complaints("trial", trial.value) == []
    told = json.loads(trial.value)
    assert told.keys() == fields_of("Trial")
    assert all(scored.keys() == fields_of("Scored") for scored in told["scored"].values())


def test_models_alerts_and_words_on_them_are_as_described() -> None:
    rows = np.array([[9.0]])
    watch = Watch(window=np.array([[1.0, 0.1, 0.1, 0.5, 0.5]] * 5, dtype="<f4").tobytes())
    (told,) = Alerts("alerts", 5).take("churn_risk", watch, ["days"], rows, "logit")
    assert complaints("alert.model", told.value) == []
    assert json.loads(told.value)["data"].keys() == fields_of("ModelAlert")
    word = encode_appointment(Appointment("churn_risk", 3, "rolled back", "anna", NOW_MS))
    assert complaints("appointment", word) == []
    assert word.startswith(START)
    assert json.loads(word).keys() == fields_of("Appointment")


def test_dead_letters_are_as_described() -> None:
    letter = dead_letter("dead-letters", Batch("pos.events", 3, 8, [9], [b"\xff"], [NOW_MS]), 0, Refused("malformed"))
    described = CONTRACT["components"]["messages"]["dead_letter"]["headers"]
    assert Draft7Validator(described).is_valid(letter.headers)
    assert letter.headers.keys() == described["properties"].keys()
    assert letter.value == b"\xff"


def reasons_given(source: str) -> Iterator[str]:
    """The texts that may stand as the first argument of Refused(...)."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refused":
            first = node.args[0]
            parts = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
            yield from (part.value for part in parts if isinstance(part, ast.Constant))


def test_every_reason_of_the_code_is_explained_on_the_page() -> None:
    paths = [path for package in ("features", "alerts", "operators") for path in (ROOT / package).rglob("*.py")]
    given_reasons = {reason for path in paths for reason in reasons_given(path.read_text("utf-8")) if reason}
    page = schema.page(CONTRACT)
    assert REASONS.keys() <= given_reasons
    assert len(given_reasons) > len(REASONS)
    assert [reason for reason in given_reasons if f"\n| `{reason}` | " not in page] == []
