"""Files of every kind are read for what they are; what cannot run is named with its reason, and the rest runs."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.sigma.engine import Engine
from alerts.sigma.logsource import LogSource
from alerts.sigma.reading import Rules, StoppedRule, load
from alerts.sigma.stream import Stream, Told

LOG = "logsource: {product: windows, category: process_creation}"
SOURCE = LogSource("windows", "process_creation", "sysmon")


def rule(detection: str, title: str = "t", log: str = LOG) -> str:
    return f"title: {title}\nname: {title}\n{log}\ndetection:\n  a: {detection}\n  condition: a\n"


def loaded(*texts: str) -> Rules:
    rules, refused = load((f"{n}.yml", text) for n, text in enumerate(texts))
    assert refused == []
    return rules


def met(event: dict[str, Any], *texts: str) -> list[str]:
    rules = loaded(*texts)
    (found,) = Engine(rules).match(SOURCE, [event])
    return [rules.detections[place].rule.name for place in found]


PIPELINE = """
name: names of ours
priority: 10
vars:
  admins: [ann, "b*"]
transformations:
  - type: field_name_mapping
    mapping: {Image: process.path, User: who}
  - type: value_placeholders
"""
FILTER = """
title: not the backup
logsource: {product: windows}
filter:
  rules: RULES
  selection: {User: backup}
  condition: not selection
"""


def test_a_pipeline_maps_fields_and_fills_placeholders() -> None:
    asked = rule(r"{Image|endswith: '\x.exe', User|expand: '%admins%'}")
    assert met({"process.path": "C:\\x.exe", "who": "Bob"}, asked, PIPELINE) == ["t"]
    assert met({"process.path": "C:\\x.exe", "who": "cid"}, asked, PIPELINE) == []
    assert met({"Image": "C:\\x.exe", "User": "ann"}, asked, PIPELINE) == []


def test_a_placeholder_without_values_is_refused_by_its_name() -> None:
    rules, refused = load([("a.yml", rule("{User|expand: '%admins%'}")), ("b.yml", rule("{User: x}", "other"))])
    assert [each.rule.name for each in rules.detections] == ["other"]
    assert [(each.file, each.title, type(each)) for each in refused] == [("a.yml", "t", StoppedRule)]
    assert "%admins% has no values; write them under `vars`" in refused[0].reason


@pytest.mark.parametrize("named", ["any", "[t]", "t"])
def test_a_filter_takes_from_the_rules_that_it_names(named: str) -> None:
    texts = [rule("{Image: x}"), rule("{Image: x}", "cron", "logsource: {product: linux}")]
    tuned = FILTER.replace("RULES", named)
    assert met({"Image": "x", "User": "ann"}, *texts, tuned) == ["t"]
    assert met({"Image": "x", "User": "backup"}, *texts, tuned) == []
    assert met({"Image": "x", "User": "backup"}, *texts) == ["t"]


def test_a_filter_speaks_of_fields_as_the_rules_do_before_a_pipeline() -> None:
    texts = [rule("{Image: x}"), FILTER.replace("RULES", "any"), PIPELINE]
    assert met({"process.path": "x", "who": "ann"}, *texts) == ["t"]
    assert met({"process.path": "x", "who": "backup"}, *texts) == []


def test_a_filter_for_no_rule_is_told() -> None:
    _, refused = load([("r.yml", rule("{Image: x}")), ("f.yml", FILTER.replace("RULES", "[gone]"))])
    assert [(each.file, each.reason) for each in refused] == [("f.yml", "the filter applies to no rule")]


@pytest.mark.parametrize(
    ("log", "seen"),
    [
        ("{product: windows}", True),
        ("{category: process_creation}", True),
        ("{product: windows, service: sysmon}", True),
        ("{product: windows, service: security}", False),
        ("{product: linux, category: process_creation}", False),
    ],
)
def test_a_rule_sees_the_events_of_its_log_source(log: str, seen: bool) -> None:
    assert met({"A": "x"}, rule("{A: x}", log=f"logsource: {log}")) == (["t"] if seen else [])


def test_keywords_are_looked_for_in_every_value() -> None:
    text = "title: k\nname: k\nlogsource: {product: windows}\ndetection:\n  k: [evil*tool, 4711]\n  condition: k\n"
    assert met({"a": "x", "b": ["an EVIL bad tool", None]}, text) == ["k"]
    assert met({"n": 47110}, text) == ["k"]
    assert met({"a": "evil", "b": "tool"}, text) == []
    wanted = text.replace("[evil*tool, 4711]", "{'|all': [evil, tool]}")
    assert met({"a": "evil", "b": "tool"}, wanted) == ["k"]
    assert met({"a": "evil"}, wanted) == []


DO = [rule(f"{{do: {name}}}", name) for name in ("login", "burst", "export")]


def correlated(about: str, name: str) -> str:
    return f"title: {name}\nname: {name}\ncorrelation: {about}\n"


CHAIN = (
    correlated("{type: event_count, rules: [login], group-by: [src, who], timespan: 1m, condition: {gte: 3}}", "many"),
    correlated("{type: temporal_ordered, rules: [many, export], group-by: [who], timespan: 1m}", "then"),
)


def fired(texts: tuple[str, ...], told: list[tuple[int, dict[str, Any]]]) -> list[tuple[str, str]]:
    rules = loaded(*texts, *DO)
    stream = Stream(rules)
    alerts = stream.feed([Told(SOURCE, at_s * 1000, f"e{n}", fields) for n, (at_s, fields) in enumerate(told)])
    return [(alert.rule_id, alert.id) for alert in alerts]


def login(who: str = "ann", src: str = "pc") -> dict[str, Any]:
    return {"do": "login", "who": who, "src": src}


def test_a_correlation_of_correlations_fires_by_its_own_groups() -> None:
    told = [*((at_s, login()) for at_s in (0, 1, 2)), (3, {"do": "export", "who": "ann"})]
    assert fired(CHAIN, told) == [("then", "e3")]
    assert fired(CHAIN[::-1], told) == [("then", "e3")]
    assert fired(CHAIN, [*told[:3], (3, {"do": "export", "who": "bob"})]) == []
    assert fired(CHAIN, [(0, told[3][1]), *told[1:3], (3, login())]) == []


def test_a_chain_hears_of_a_correlation_that_is_reached_again_though_it_fires_once() -> None:
    told = [(at_s, login()) for at_s in range(0, 100, 10)] + [(149, {"do": "export", "who": "ann"})]
    assert fired(CHAIN, told) == [("then", "e10")], "the burst went on until 90 s, and fired at 20 and 80 s"
    gone = [(at_s, login()) for at_s in range(0, 80, 10)] + [(129, {"do": "export", "who": "ann"})]
    assert fired(CHAIN, gone) == [("then", "e8")]


def test_rules_in_a_circle_are_refused() -> None:
    circle = [
        correlated("{type: temporal, rules: [two, login], group-by: [who], timespan: 1m}", "one"),
        correlated("{type: temporal, rules: [one, login], group-by: [who], timespan: 1m}", "two"),
    ]
    rules, refused = load((f"{n}.yml", text) for n, text in enumerate([*circle, *DO]))
    assert not rules.correlations
    assert sorted(each.title for each in refused) == ["one", "two"]


def test_what_is_judged_late_cannot_be_counted_by_another() -> None:
    few = correlated("{type: event_count, rules: [login], group-by: [who], timespan: 1m, condition: {lt: 3}}", "many")
    _, refused = load((f"{n}.yml", text) for n, text in enumerate([few, CHAIN[1], *DO]))
    assert [each.reason for each in refused] == [
        "'many' is judged when its window is over, and cannot be counted by another"
    ]


def test_aliases_bring_fields_of_different_names_together() -> None:
    about = (
        "{type: temporal, rules: [login, export], group-by: [address], timespan: 1m,"
        " aliases: {address: {login: src, export: dst}}}"
    )
    alike = [(0, login(src="10.0.0.1")), (1, {"do": "export", "dst": "10.0.0.1", "src": "other"})]
    assert fired((correlated(about, "c"),), alike) == [("c", "e1")]
    assert (
        fired((correlated(about, "c"),), [alike[0], (1, {"do": "export", "dst": "10.0.0.2", "src": "10.0.0.1"})]) == []
    )


def test_groups_beyond_the_bound_are_evicted_and_counted() -> None:
    many = correlated("{type: event_count, rules: [login], group-by: [who], timespan: 1h, condition: {gte: 2}}", "many")
    stream = Stream(loaded(many, *DO), most_groups=100)
    for n in range(300):
        stream.feed([Told(SOURCE, n, f"e{n}", login(who=f"actor {n}")), Told(SOURCE, n, f"f{n}", login(who="busy"))])
    assert len(stream.records) == 100
    assert stream.lost["evicted"] == 300 + 1 - 100


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (rule("{A|frobnicate: x}"), "Unknown modifier"),
        (rule("{A|re: '(?=a)b'}"), "(?="),
        (rule("{A|cidr: x}"), "Invalid CIDR"),
        (rule("{A: x}").replace("condition: a", "condition: a and b"), "'b' not defined"),
        (rule("{A: x}").replace("condition: a", "condition: a | count() > 5"), "pipe syntax"),
        (
            correlated("{type: event_count, rules: [gone], group-by: [A], timespan: 1m, condition: {gte: 1}}", "c"),
            "'gone'",
        ),
        (correlated("{type: event_sum, rules: [t], timespan: 1m, condition: {gte: 1}}", "c"), "event_sum"),
        ("title: [", "expected"),
        ("- 1\n", "one mapping a document"),
        ("transformations: [{type: nothing_known}]\n", "nothing_known"),
    ],
)
def test_what_cannot_run_is_refused_and_leaves_the_others(text: str, said: str) -> None:
    rules, refused = load([("bad.yml", text), ("good.yml", rule("{A: x}", "good"))])
    assert [each.rule.name for each in rules.detections] == ["good"]
    assert said in "; ".join(each.reason for each in refused)
