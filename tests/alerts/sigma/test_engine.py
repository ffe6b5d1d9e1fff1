"""Whatever the rules and the events: the engine finds what its naive twin finds, rule by rule."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.sigma.engine import Engine
from alerts.sigma.logsource import LogSource
from alerts.sigma.reading import load
from tests import oracle_sigma

LETTERS = "aAbBéÉ.-/ \\"
texts = st.text(LETTERS, max_size=6)
patterns = st.text(LETTERS + "*?", min_size=1, max_size=6)
plain = st.text("abAB-", min_size=1, max_size=4)
numbers = st.one_of(st.integers(-2, 6), st.sampled_from([0.5, 2.0, 5.5]))
dates = st.sampled_from(
    ["2026-05-04T23:05:00Z", "2026-01-01 07:00:59", "2024-12-30", "soon", 1_777_900_000, 1_777_900_000_000, 5]
)
addresses = st.sampled_from(["10.1.2.3", "10.1.9.9", "::ffff:10.1.2.3", "fe80::1", "pc-1", ""])
networks = st.sampled_from(["10.1.2.0/24", "10.0.0.0/8", "fe80::/16", "10.1.2.3/32"])
scalars = st.one_of(
    texts, numbers, st.booleans(), st.sampled_from(["2", "2.0", " 5 ", "true", "False", "\x02a", "aé\x03"])
)
FIELDS = ("A", "B", "C", "n", "ip", "at")


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """Fields may be missing, null, or lists."""
    event: dict[str, Any] = {}
    for field, value in (("A", texts), ("B", scalars), ("C", texts), ("n", scalars), ("ip", addresses), ("at", dates)):
        if draw(st.integers(0, 4)):
            event[field] = draw(st.one_of(value, value, value, st.none(), st.lists(value, max_size=3)))
    if draw(st.booleans()) and isinstance(event.get("A"), str):
        event["C"] = draw(st.sampled_from(["", "a", "x"])) + event["A"]
        event["B"] = draw(st.sampled_from(["QUE=", "YUE=", "a\0A\0", "\0a\0A", event["A"].upper()]))
    return event


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(values, st.lists(values, min_size=1, max_size=3))


ITEMS: st.SearchStrategy[tuple[str, Any]] = st.one_of(
    st.tuples(st.sampled_from(["A", "B", "C", "n"]), some(st.one_of(patterns, numbers, st.booleans(), texts))),
    st.tuples(
        st.builds(
            "{}|{}{}".format,
            st.sampled_from(["A", "B", "C"]),
            st.sampled_from(["contains", "startswith", "endswith"]),
            st.sampled_from(["", "|cased", "|all", "|neq"]),
        ),
        st.lists(patterns, min_size=2, max_size=3),
    ),
    st.tuples(st.sampled_from(["A|cased", "B|windash", "C|windash|contains", "A|neq"]), some(patterns)),
    st.tuples(
        st.sampled_from(["A|base64", "B|base64|contains", "B|base64offset|contains", "B|wide|contains", "B|utf16be"]),
        some(plain),
    ),
    st.tuples(st.sampled_from(["B|wide|base64offset|contains", "B|utf16le|base64", "B|utf16le"]), plain),
    st.tuples(
        st.builds("{}|{}".format, st.sampled_from(["A", "C"]), st.sampled_from(["re", "re|i", "re|s", "re|m|i"])),
        some(st.sampled_from(["a+b", "^a.", "[aé]$", "A", "b|é", ".", "^$", "(a|b){2}"])),
    ),
    st.tuples(st.builds("n|{}".format, st.sampled_from(["gt", "gte", "lt", "lte"])), numbers),
    st.tuples(st.just("ip|cidr"), some(networks)),
    st.tuples(st.builds("at|{}".format, st.sampled_from(oracle_sigma.PARTS)), st.integers(1, 20)),
    st.tuples(st.sampled_from(["at|hour|gte", "at|year|lt", "at|week|lte"]), st.sampled_from([7, 18, 2026])),
    st.tuples(st.sampled_from(FIELDS), st.none()),
    st.tuples(st.builds("{}|exists".format, st.sampled_from(FIELDS)), st.booleans()),
    st.tuples(
        st.sampled_from(
            ["A|fieldref", "C|fieldref|startswith", "C|fieldref|endswith", "C|fieldref|contains", "n|fieldref"]
        ),
        st.sampled_from(["A", "B", "C"]),
    ),
)
SEARCHES = st.one_of(
    st.lists(ITEMS, min_size=1, max_size=3).map(dict),
    st.lists(st.lists(ITEMS, min_size=1, max_size=2).map(dict), min_size=1, max_size=2),
    st.lists(patterns, min_size=1, max_size=2),
    st.lists(st.integers(0, 9), min_size=1, max_size=2),
)
NAMES = ("sel_a", "sel_b", "filter_a", "other")
CONDITIONS = st.recursive(
    st.sampled_from(
        [*NAMES, "1 of sel_*", "all of sel_*", "1 of them", "all of them", "any of *_a", "not 1 of filter_*"]
    ),
    lambda inner: st.one_of(
        inner.map("not ({})".format),
        st.builds("{} and {}".format, inner, inner),
        st.builds("{} or {}".format, inner, inner),
        st.builds("({}) and not {}".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
    ),
    max_leaves=5,
)
SOURCES = st.sampled_from(
    [{"product": "p"}, {"product": "p", "service": "s"}, {"category": "c"}, {"product": "q"}, {"service": "s"}]
)


@st.composite
def rules(draw: st.DrawFn) -> list[dict[str, Any]]:
    return [
        {
            "title": f"rule {n}",
            "logsource": draw(SOURCES),
            "detection": {**{name: draw(SEARCHES) for name in NAMES}, "condition": draw(CONDITIONS)},
        }
        for n in range(draw(st.integers(1, 3)))
    ]


@settings(max_examples=150, deadline=None)
@given(rules(), st.lists(st.tuples(SOURCES, events()), min_size=1, max_size=8))
def test_what_rules_find_equals_the_naive_twin(rules: list[dict[str, Any]], told: list[tuple[Any, Any]]) -> None:
    loaded, refused = load((f"{n}.yml", yaml.safe_dump(rule)) for n, rule in enumerate(rules))
    assert refused == []
    engine = Engine(loaded)
    for source in {LogSource(**source) for source, _ in told}:
        chosen = [event for each, event in told if LogSource(**each) == source]
        for event, met in zip(chosen * 2, engine.match(source, chosen * 2), strict=True):
            wanted = [
                n
                for n, rule in enumerate(rules)
                if all(source._asdict()[name] == value for name, value in rule["logsource"].items())
                and oracle_sigma.meets(rule, event)
            ]
            assert list(met) == wanted, event


def test_patterns_of_which_re2_cannot_hold_all_literals_together_are_found() -> None:
    words = [f"{n:04}{'x' * 100}{n:04}" for n in range(1_000)] + ["[0-9a-f]" + "y" * 9_000]
    rule = "title: t\nname: t{0}\nlogsource: {{product: p}}\ndetection: {{s: {{A|re: '{1}'}}, condition: s}}\n"
    loaded, refused = load((f"{n}.yml", rule.format(n, word)) for n, word in enumerate(words))
    assert refused == []
    told = [{"A": f"-{word.replace('[0-9a-f]', '7')}-"} for word in words]
    assert Engine(loaded).match(LogSource("p"), told) == [(n,) for n in range(len(words))]


def test_what_is_long_is_judged_and_not_remembered() -> None:
    loaded, _ = load([("f", "title: t\nlogsource: {product: p}\ndetection: {s: {A: x}, k: [y], condition: s or k}\n")])
    engine, source = Engine(loaded), LogSource("p")
    events = [{"A": value} for n in range(20) for value in ("x" * 9_999, ["x", f"{n}" * 9_999], {"b": f"y{n}" * 9_999})]
    assert engine.match(source, events) == [(), (0,), (0,)] * 20
    matcher, _ = engine.matchers[source]
    assert matcher.words is not None
    assert len(str([*matcher.columns])) + len(str(matcher.words.known)) < 9_999


def test_a_network_may_be_written_as_an_ipv6_one_as_its_addresses_may() -> None:
    rule = "title: t\nlogsource: {product: p}\ndetection: {s: {'A|cidr': '::ffff:10.0.0.0/104'}, condition: s}\n"
    told = [{"A": address} for address in ("10.1.2.3", "::ffff:10.1.2.3", "11.1.2.3", "::1")]
    assert Engine(load([("f", rule)])[0]).match(LogSource("p"), told) == [(0,), (0,), (), ()]
