"""What a Sigma rule says is what it matches; what cannot be evaluated exactly is refused by name."""

from __future__ import annotations

from textwrap import dedent, indent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.security.fields import flat_fields
from alerts.security.sigma import SOURCE, known, load
from alerts.sigma.engine import Engine
from alerts.sigma.reading import Rules
from features.events import AuditAccess, AuditExport

EXPORT: dict[str, Any] = {
    "type": "audit_export",
    "action": "export",
    "actor": "Ann",
    "role": "analyst",
    "purpose": "",
    "object": "customers_2026.csv",
    "client_ip": "10.20.3.4",
    "device": "pc-1",
    "result": "ok",
    "store": "s1",
    "rows": 700,
    "hour": 23,
    "fields": ["phone", "name"],
}


def rule(detection: str, logsource: str = "{product: brewline, service: audit}", title: str = "t") -> str:
    return f"title: {title}\nlogsource: {logsource}\ndetection:\n{indent(dedent(detection).strip(), '  ')}\n"


def one(condition: str, logsource: str = "{product: brewline, service: audit}") -> str:
    return rule(f"one:\n  {condition}\ncondition: one", logsource)


def loaded(text: str) -> Rules:
    rules, refused = load([("r.yml", text)])
    assert refused == []
    return rules


def matches(text: str, **changed: Any) -> bool:
    return Engine(loaded(text)).match(SOURCE, [known({**EXPORT, **changed})]) == [(0,)]


def reason(text: str) -> str:
    rules, refused = load([("r.yml", text)])
    assert not rules.detections
    (only,) = refused
    return only.reason


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("actor: ann", True),
        ("actor: an", False),
        ("actor|cased: ann", False),
        ("actor|cased: Ann", True),
        ("actor: a*", True),
        ("actor: '?nn'", True),
        ("actor: '?n'", False),
        (r"actor: 'A\*'", False),
        ("actor|neq: ann", False),
        ("purpose: '*'", False),
        ("purpose: ''", True),
        ("object|contains: MERS_", True),
        ("object|cased|contains: MERS_", False),
        ("object|startswith: customers", True),
        ("object|endswith: .csv", True),
        ("object|endswith: .cs", False),
        ("object|contains: '.'", True),
        ("object|contains|all: [customers, csv]", True),
        ("object|contains|all: [customers, xls]", False),
        ("role: [barista, analyst]", True),
        ("role: [barista, cashier]", False),
        ("object|re: '^customers_[0-9]{4}'", True),
        ("object|re: '_[0-9]{4}'", True),
        ("object|re: CUSTOMERS", False),
        ("object|re|i: CUSTOMERS", True),
        ("purpose|re: '.*'", False),
        ("client_ip|cidr: 10.20.0.0/16", True),
        ("client_ip|cidr: 10.21.0.0/16", False),
        ("client_ip|cidr: [10.21.0.0/16, 10.20.3.0/24]", True),
        ("device|cidr: 10.0.0.0/8", False),
        ("rows: 700", True),
        ("rows: '700'", True),
        ("rows: [1, 2]", False),
        ("rows|gt: 700", False),
        ("rows|gte: 700", True),
        ("rows|lt: 700", False),
        ("rows|lte: 700", True),
        ("rows|gt: 699.5", True),
        ("fields: PHONE", True),
        ("fields|startswith: na", True),
        ("fields|contains|all: [pho, nam]", True),
        ("fields: birthday", False),
        ("purpose: null", True),
        ("role: null", False),
        ("rows: null", False),
        ("role|exists: true", True),
        ("purpose|exists: true", False),
        ("purpose|exists: false", True),
        ("rows|exists: true", True),
        ("device: 1", False),
        ("device|windash|contains: '-1'", True),
        ("device|windash|contains: ' -1'", False),
        ("actor|fieldref: role", False),
        ("object|fieldref|startswith: result", False),
        ("purpose|fieldref: purpose", False),
    ],
)
def test_a_field_condition_holds_as_the_specification_says(condition: str, wanted: bool) -> None:
    assert matches(one(condition)) is wanted


@pytest.mark.parametrize("ip", ["::ffff:10.20.3.4", "10.20.3.4"])
def test_an_address_in_either_notation_is_in_its_network(ip: str) -> None:
    assert matches(one("client_ip|cidr: 10.20.0.0/16"), client_ip=ip)


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("a and b", False),
        ("a or b", True),
        ("a and not b", True),
        ("not a or not b", True),
        ("not (a and (b or c))", False),
        ("a and (b or c)", True),
        ("(a and b) or c", True),
        ("not (a or b) or c", True),
        ("1 of *", True),
        ("all of them", False),
        ("1 of sel_*", True),
        ("all of sel_*", False),
        ("not 1 of sel_y*", True),
        ("all of sel_x* and a", True),
    ],
)
def test_a_condition_combines_as_the_specification_says(condition: str, wanted: bool) -> None:
    assert (
        matches(
            rule(
                f"""
                a: {{role: analyst}}
                b: {{role: barista}}
                c: {{rows|gt: 1}}
                sel_x1: {{actor: ann}}
                sel_y1: {{actor: bob}}
                condition: {condition}
                """
            )
        )
        is wanted
    )


def test_a_list_of_mappings_is_an_alternative() -> None:
    text = rule("one:\n  - role: barista\n  - rows|gte: 5\n    actor: ann\ncondition: one")
    assert matches(text)
    assert not matches(text, actor="bob")


def test_several_conditions_are_alternatives() -> None:
    assert matches(rule("a: {role: barista}\nb: {role: analyst}\ncondition: [a, b]"))


TREES = st.recursive(
    st.sampled_from("abcd"),
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner),
    ),
    max_leaves=8,
)


def written(tree: Any) -> str:
    return tree if isinstance(tree, str) else "(" + " ".join(written(part) for part in tree) + ")"


@given(TREES, st.sets(st.sampled_from("abcd")))
def test_any_nesting_means_what_python_means(tree: Any, true: set[str]) -> None:
    detection = "\n".join(f"{name}: {{fields: {name}}}" for name in "abcd")
    text = rule(f"{detection}\ncondition: {written(tree)}")
    assert matches(text, fields=sorted(true)) is eval(written(tree), {name: name in true for name in "abcd"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (one("roles: x"), "there is no field 'roles'; did you mean 'role'?"),
        (one("CommandLine: x"), "there is no field 'CommandLine'; expected one of type, action,"),
        (one("role|gt: 5"), "role is no number; gt fits rows and hour"),
        (one("role|expand: '%admins%'"), "the placeholder %admins% has no values"),
        (one("rows|hour: 5"), "rows is no date"),
        (one("role|re: '(?=a)b'"), "(?="),
        (one("role|frobnicate: x"), "Unknown modifier"),
        (rule("one: {role: x}\ncondition: one and two"), "'two' not defined"),
        (rule("one: {role: x}\ncondition: one and ("), "Expected"),
        (rule("one: {role: x}\ncondition: one | count() > 5"), "pipe syntax"),
        (one("role: x", "{product: windows, service: audit}"), "write product: brewline and service: audit"),
        (one("role: x", "{product: brewline, service: till}"), "write product: brewline and service: audit"),
        (one("role: x", "{product: brewline}"), "write product: brewline and service: audit"),
        ("title: t\ndetection: {a: {role: x}, condition: a}\n", "must have a log source"),
        ("title: [", "expected"),
        ("- 1\n- 2\n", "one mapping a document"),
        ("", "one mapping a document"),
        ("title: t\nid: 5\n", "is no valid Sigma"),
        (one("role: x") + "level: apocalyptic\n", "not a valid Sigma rule level"),
        (one("role: x") + "title: again\n", "Duplicate key"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_with_its_reason(text: str, said: str) -> None:
    assert said in reason(text)


def test_a_refused_rule_leaves_the_others() -> None:
    rules, refused = load([("a.yml", one("roles: x")), ("b.yml", one("role: x")), ("c.yml", one("role: y"))])
    assert [(each.file, each.title) for each in refused] == [("a.yml", "t"), ("c.yml", "t")]
    assert "'t' is taken by b.yml" in refused[1].reason
    assert [detection.rule.file for detection in rules.detections] == ["b.yml"]


def test_category_and_service_name_the_log_alike() -> None:
    for logsource in ("{product: brewline, category: audit}", "{product: brewline, category: audit, service: audit}"):
        assert matches(one("role: analyst", logsource))


def test_the_limit_is_the_one_number_that_must_be_reached() -> None:
    def limit(detection: str) -> tuple[str, float] | None:
        return loaded(rule(detection)).detections[0].limit

    assert limit("a: {rows|gte: 5, role: x}\ncondition: a") == ("rows", 5)
    assert limit("a: {rows|gte: 5}\nb: {hour|gt: 22}\ncondition: a or b") is None
    assert limit("a: {rows|gte: 5}\nb: {hour|gt: 22}\ncondition: a and b") is None
    assert limit("a: {rows|gte: 5}\ncondition: not a") is None


BASE = one("action: export") + "name: base\n"


def correlated(correlation: str, base: str = BASE) -> tuple[Rules, str]:
    text = f"{base}---\ntitle: c\ncorrelation:\n{indent(dedent(correlation).strip(), '  ')}\n"
    rules, refused = load([("r.yml", text)])
    return rules, "; ".join(each.reason for each in refused)


GOOD = "type: value_sum\nrules: [base]\ngroup-by: [actor]\ntimespan: 90m\ncondition: {field: rows, gte: 10}"


def test_a_correlation_counts_its_rules_which_then_keep_quiet() -> None:
    rules, refused = correlated(GOOD)
    assert refused == ""
    assert rules.correlations[0].of == {0}
    assert rules.correlations[0].timespan_ms == 90 * 60_000
    assert not rules.detections[0].alerts
    assert correlated(GOOD + "\ngenerate: true")[0].detections[0].alerts


def test_a_rule_stays_quiet_though_its_correlation_is_refused() -> None:
    rules, refused = correlated(GOOD.replace("rows", "row"))
    assert "no field 'row'" in refused
    assert not rules.detections[0].alerts


def test_a_correlation_finds_rules_by_id_and_in_other_files() -> None:
    id = "9f54f116-2416-43f4-aaee-b1aeb096fe76"
    base = one("action: export") + f"id: {id}\n"
    correlation = f"title: c\ncorrelation:\n{indent(GOOD.replace('base', id), '  ')}\n"
    rules, refused = load([("c.yml", correlation), ("base.yml", base)])
    assert refused == []
    assert rules.correlations[0].of == {0}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[base]", "[bass]", "refers to 'bass'"),
        ("value_sum", "value_percentile", "needs a percentile of 0 to 100"),
        ("timespan", "aliases: {a: {bass: role}}\ntimespan", "the alias 'a' names 'bass'"),
        ("[actor]\n", "[who]\naliases: {who: {base: object, other: account}}\n", "names 'other', which is not among"),
        ("[actor]", "[actor, rows]", "group-by 'rows' is not supported"),
        ("[actor]", "[actor, marks]", "group-by 'marks' is not supported"),
        ("[actor]", "[actor, shop]", "no field 'shop'"),
        ("field: rows", "field: role", "role is no number"),
        ("field: rows", "field: [rows, hour]", "needs one field, found 2"),
        ("90m", "90x", "Timespan"),
        ("value_sum", "value_count", "value_count of a list such as fields"),
    ],
)
def test_a_correlation_that_cannot_be_evaluated_is_refused(old: str, new: str, said: str) -> None:
    text = GOOD.replace(old, new)
    if "list" in said:
        text = text.replace("field: rows", "field: fields")
    rules, refused = correlated(text)
    assert said in refused
    assert not rules.correlations


def test_a_correlation_of_a_refused_rule_is_refused_too() -> None:
    rules, refused = correlated(GOOD, one("roles: x") + "name: base\n")
    assert "there is no field 'roles'" in refused
    assert "refers to 'base'" in refused
    assert rules == Rules()


def test_an_event_shows_its_action_and_its_local_hour() -> None:
    export = AuditExport(id="e", actor="a", at_ms=1_777_824_000_000 - 1, tz="Asia/Shanghai")
    access = AuditAccess(id="e", actor="a", action="view", at_ms=1_777_824_000_000, tz="Asia/Shanghai")
    assert [flat_fields(export)[name] for name in ("type", "action", "hour")] == ["audit_export", "export", 23]
    assert [flat_fields(access)[name] for name in ("type", "action", "hour")] == ["audit_access", "view", 0]
