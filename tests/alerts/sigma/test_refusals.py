"""Whatever a file holds, its wrong documents are refused by name, and all others run."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from alerts.sigma.engine import Engine
from alerts.sigma.logsource import LogSource
from alerts.sigma.reading import RefusedRule, Rules, load

GOOD = "title: {0}\nname: {0}\nlogsource: {{product: odd}}\ndetection: {{s: {{a: 1}}, condition: s}}\n"
WORDS = [
    "title", "name", "id", "level", "tags", "date", "logsource", "product", "detection", "condition", "s", "not s",
    "1 of s*", "a", "a|re", "a|cidr", "a|expand", "a|contains|all", "|all", "correlation", "type", "event_count",
    "value_count", "value_percentile", "temporal", "temporal_ordered", "rules", "good", "group-by", "timespan", "10m",
    "aliases", "generate", "gte", "lte", "field", "percentile", "filter", "any", "transformations", "priority", "vars",
    "field_name_mapping", "mapping", "action", "global", "repeat", "reset", "fields", "(?=x)", "%x%", "medium", "*",
]  # fmt: skip
scalars = st.one_of(
    st.sampled_from(WORDS),
    st.none(),
    st.booleans(),
    st.integers(-5, 2**70),
    st.floats(),
    st.dates(),
    st.text(max_size=5),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(WORDS) | scalars, inner, max_size=4)
    ),
    max_leaves=12,
)


@st.composite
def nearly(draw: st.DrawFn) -> Any:
    """A document that is right but for a few keys."""
    document: dict[str, Any] = draw(st.sampled_from(SKELETONS))
    document = yaml.safe_load(yaml.safe_dump(document))
    for _ in range(draw(st.integers(1, 3))):
        place = document
        while True:
            inner = [key for key, value in place.items() if isinstance(value, dict) and value]
            if not inner or draw(st.booleans()):
                break
            place = place[draw(st.sampled_from(inner))]
        key = draw(st.sampled_from([*place, draw(st.sampled_from(WORDS))]))
        place[key] = draw(values)
    return document


SKELETONS: list[dict[str, Any]] = [
    yaml.safe_load(GOOD.format("x")),
    {"title": "c", "correlation": {"type": "event_count", "rules": ["good"], "group-by": ["u"], "timespan": "5m",
                                   "condition": {"gte": 2}}},
    {"title": "t", "correlation": {"type": "temporal", "rules": ["good", "good2"], "timespan": "5m",
                                   "aliases": {"w": {"good": "a", "good2": "b"}}, "condition": "good and not good2"}},
    {"title": "f", "logsource": {"product": "odd"},
     "filter": {"rules": ["good"], "s": {"h": "x"}, "condition": "not s"}},
    {"name": "p", "priority": 5, "vars": {"x": ["y"]},
     "transformations": [{"id": "m", "type": "field_name_mapping", "mapping": {"a": "b"}}]},
]  # fmt: skip


def spelt(documents: list[Any]) -> str:
    return yaml.safe_dump_all(documents, allow_unicode=True)


@given(st.lists(values | nearly(), max_size=3))
def test_no_document_keeps_the_rules_of_other_files_from_loading_or_running(documents: list[Any]) -> None:
    rules, _ = load(
        [("good.yml", GOOD.format("good")), ("odd.yml", spelt(documents)), ("more.yml", GOOD.format("good2"))]
    )
    assert {"good.yml", "more.yml"} <= {rule.file for rule in rules.heads}
    Engine(rules).match(LogSource("odd", "", ""), [{"a": 1, "b": None, "c": ["x"]}])


@given(st.lists(nearly(), min_size=2, max_size=2))
def test_what_is_not_refused_is_there(documents: list[Any]) -> None:
    rules, refused = load([("odd.yml", spelt(documents))])
    kinds = ("transformations", "filter", "action")
    rest = [document for document in documents if not any(kind in document for kind in kinds)]
    assert len(rules.heads) + len(refused) >= len(rest)


@given(st.text(max_size=60))
def test_no_text_raises(text: str) -> None:
    load([("odd.yml", text)])


def held(*files: tuple[str, str]) -> tuple[list[str], list[RefusedRule]]:
    rules, refused = load(files)
    return [rule.title for rule in rules.heads], refused


def test_a_wrong_document_is_refused_alone_with_its_title_its_key_and_what_to_write() -> None:
    wrong = "title: X\ncorrelation: {type: value_count, rules: [g1], timespan: 5m, condition: {gte: 1}}\n"
    titles, refused = held(("f.yml", "---\n".join([GOOD.format("g1"), wrong, "just a text\n", GOOD.format("g2")])))
    assert titles == ["g1", "g2"]
    assert refused == [
        ("f.yml", "X", "correlation.condition: value_count needs a field to look at; write field: and its name"),
        (
            "f.yml",
            "",
            "found 'just a text'; a Sigma file holds one mapping a document: write title, logsource, detection, ...",
        ),
    ]


def test_a_document_that_is_no_yaml_leaves_those_before_and_behind_it_and_names_its_line() -> None:
    titles, refused = held(("f.yml", "---\n".join([GOOD.format("g1"), "title: [\n", GOOD.format("g2")])))
    assert titles == ["g1", "g2"]
    assert "line 7" in refused[0].reason


def test_bytes_that_are_no_utf_8_are_told_with_their_line() -> None:
    text = f"# caf\xe9\n{GOOD.format('g1')}".encode("latin-1").decode("utf-8", "surrogateescape")
    titles, refused = held(("f.yml", text), ("g.yml", GOOD.format("g2")))
    assert titles == ["g2"]
    assert refused == [("f.yml", "", "is no UTF-8: line 1 has the byte 0xe9; save it as UTF-8")]


CORRELATION = "title: X\ncorrelation: {{type: event_count, rules: [g1], {0}}}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            GOOD.format("X").replace("condition: s", "condition: 5"),
            "detection.condition: found 5, expected a text such",
        ),
        (GOOD.format("X").replace("a: 1", "a: {b: 1}"), "detection: s: a: found a mapping, expected a text"),
        (GOOD.format("X").replace("a: 1", f"a: {2**53 + 1}"), f"write it as a text: '{2**53 + 1}'"),
        (GOOD.format("X").replace("a: 1", "a: 2026-01-01"), "found a date; write it as a text: '2026-01-01'"),
        (GOOD.format("X").replace("a: 1", "a|frobnicate: 1"), "s: a|frobnicate: Unknown modifier"),
        (
            GOOD.format("X").replace("a: 1", "a|re: '(?<=x)'"),
            "s: a|re: Regular expression '(?<=x)' is invalid: invalid",
        ),
        (GOOD.format("X").replace("{a: 1}", ""), "detection: s: is empty"),
        (CORRELATION.format("groupby: [u], timespan: 5m, condition: {gte: 1}"), "did you mean 'group-by'?"),
        (CORRELATION.format("timespan: 5m, condition: {gte: 1, felds: x}"), "did you mean 'field'?"),
        (CORRELATION.format("timespan: 5, condition: {gte: 1}"), "correlation.timespan: found 5, expected a text such"),
        (CORRELATION.format("timespan: 5m, condition: {gte: 1}, aliases: {a: b}"), "correlation.aliases.a: found 'b'"),
        (
            CORRELATION.format("timespan: 5m, condition: {gte: 1}").replace("[g1]", "[[g1]]"),
            "correlation.rules: found [",
        ),
        (CORRELATION.format("timespan: 5m, group-by: [[u]], condition: {gte: 1}"), "correlation.group-by: found ['u']"),
        (CORRELATION.format("timespan: 5m, condition: {gte: 1, field: 5}"), "correlation.condition.field: found 5"),
        (CORRELATION.format("timespan: 5m, condition: {field: a}"), "has no limit; write one of lt, lte, gt, gte"),
    ],
)
def test_a_refusal_names_the_title_the_key_and_what_to_write(text: str, said: str) -> None:
    titles, refused = held(("g.yml", GOOD.format("g1")), ("f.yml", text))
    assert titles == ["g1"]
    assert [(each.file, each.title) for each in refused] == [("f.yml", "X")]
    assert said in refused[0].reason


PIPELINE = "name: p\npriority: {0}\ntransformations: [{{id: m, type: field_name_mapping, mapping: {{a: b}}}}]\n"


def test_a_pipeline_whose_priority_is_no_number_is_refused_and_the_other_runs() -> None:
    titles, refused = held(("g", GOOD.format("g1")), ("p", PIPELINE.format("x")), ("q", PIPELINE.format(5)))
    assert titles == ["g1"]
    assert refused == [("p", "", "priority: found 'x', expected a whole number")]


@pytest.mark.parametrize(
    ("asked", "said"),
    [("s: {h: ok}, condition: not t", "'t' not defined"), ("s: {'h|expand': '%x%'}, condition: not s", "%x% has no")],
)
def test_a_filter_that_is_wrong_is_named_by_its_own_file_and_the_rules_run_without_it(asked: str, said: str) -> None:
    tuning = f"title: F\nlogsource: {{product: odd}}\nfilter: {{rules: any, {asked}}}\n"
    titles, refused = held(("g", GOOD.format("g1")), ("h", GOOD.format("g2")), ("f.yml", tuning))
    assert titles == ["g1", "g2"]
    assert [(each.file, each.title) for each in refused] == [("f.yml", "F")]
    assert said in refused[0].reason
    assert refused[0].reason.endswith("; the rules it names run without it")


def test_what_several_documents_share_stands_once_before_them() -> None:
    shared = "action: global\nlogsource: {product: odd}\nlevel: high\ndetection: {f: {u: svc}}\n"
    one, two = (f"title: {n}\ndetection: {{s: {{a: {n}}}, condition: s and not f}}\n" for n in ("one", "two"))
    again = "action: repeat\ntitle: three\ndetection: {s: {a: three}}\n"
    rules: Rules
    rules, refused = load([("f", "---\n".join([shared, one, "title: [\n", two, again]))])
    assert [(rule.title, rule.level) for rule in rules.heads] == [(n, "high") for n in ("one", "two", "three")]
    assert [each.title for each in refused] == [""]
    assert len({repr(detection.condition).count("svc") for detection in rules.detections}) == 1


@pytest.mark.parametrize(("word", "instead"), [("startswith", "^(?:...)"), ("endswith", "(?:...)$")])
def test_a_pattern_that_would_not_be_anchored_is_refused_with_what_to_write(word: str, instead: str) -> None:
    _, refused = load([("f", GOOD.format("X").replace("a: 1", f"a|re|{word}: 'Foo'"))])
    assert [instead in each.reason for each in refused] == [True]


def test_re2_says_nothing_beside_what_the_refusal_says(capfd: pytest.CaptureFixture[str]) -> None:
    load([("f", GOOD.format("X").replace("a: 1", "a|re: '(?=nobody has asked this)'"))])
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "asked", [{"a|re": "a.{0,999}a.{0,999}c"}, {"a": "*" + "?" * 2_000}, {"a": "*" + "?" * 40_000}]
)
def test_a_pattern_that_would_take_long_over_any_text_is_refused(asked: dict[str, str]) -> None:
    written = {**yaml.safe_load(GOOD.format("X")), "detection": {"s": asked, "condition": "s"}}
    titles, refused = held(("g", GOOD.format("g1")), ("f.yml", yaml.safe_dump(written)))
    assert titles == ["g1"]
    assert "write shorter repetitions" in refused[0].reason
