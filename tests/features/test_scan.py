"""The compiled scanner says what msgspec says, of every event and of every bytes, and of texts what Python says."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features import events as e
from features.fields import Field, Scanned, Scanner, Words
from features.kernel.scan import DECIMAL, FLAG, LARGE, TEXT, WHOLE
from features.kernel.words import hash_texts
from tests.features.streams import logs

FIELDS = [
    *(Field(name, TEXT) for name in ("type", "id", "customer", "tz", "store")),
    *(Field(name, WHOLE) for name in ("at_ms", "total_cents")),
    Field("closed", FLAG),
    Field("stars", DECIMAL),
]
OF_LINE = [Field("sku", TEXT), Field("qty", WHOLE, 1), Field("options.sugar", TEXT), Field("options.ice", TEXT)]
SCANNER = Scanner(FIELDS, OF_LINE, "type")


def told(scanned: Scanned, i: int) -> dict[str, Any] | None:
    """An object as the columns tell it; None of one that is malformed."""
    if not scanned.filled(SCANNER.fields["type"])[i]:
        return None
    values, ends, text = scanned.values[:, i], scanned.ends[:, i], scanned.text
    lines = range(scanned.first_line[i], scanned.first_line[i] + scanned.line_count[i])
    return {
        **{f.name: plain(f, int(values[k]), int(ends[k]), text) for k, f in enumerate(FIELDS)},
        "lines": [
            {
                f.name: plain(f, int(scanned.line_values[k, row]), int(scanned.line_ends[k, row]), text)
                for k, f in enumerate(OF_LINE)
            }
            for row in lines
        ],
    }


def plain(field: Field, value: int, end: int, text: bytes) -> Any:
    if field.how == TEXT:
        return text[value:end].decode()
    return float(np.int64(value).view(np.float64)) if field.how == DECIMAL else value


def decoded(raw: bytes) -> dict[str, Any] | None:
    """What msgspec says; a type that is empty is no type."""
    try:
        seen = SCANNER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    found: dict[str, Any] = msgspec.to_builtins(seen)
    for line in found["lines"]:
        options = line.pop("options")
        line |= {name: options.get(name[8:], "") for name in ("options.sugar", "options.ice")}
    return found if seen.type else None


def agree(raws: list[bytes]) -> None:
    scanned = SCANNER.scan(raws)
    for i, raw in enumerate(raws):
        assert told(scanned, i) == decoded(raw), raw


@settings(max_examples=40, deadline=None)
@given(logs())
def test_events_as_ingest_writes_them_are_read_as_msgspec_reads_them(log: list[e.Event]) -> None:
    agree([e.encode(event) for event in log])


def test_what_ingest_writes_is_read_without_msgspec() -> None:
    order = e.Order(
        id="o1", customer="c1", at_ms=5, tz="Asia/Shanghai", store="人民广场", total_cents=1800,
        lines=[e.Line("tea", 2, 900, "茶", {"sugar": "half"}), e.Line("cake")],
    )  # fmt: skip
    alone = Scanner(FIELDS, OF_LINE, "type")
    del alone.decode
    scanned = alone.scan([e.encode(order), e.encode(e.Rating(id="r", stars=4.5, customer="c1"))])
    first, second = told(scanned, 0), told(scanned, 1)
    assert first is not None
    assert second is not None
    assert (first["store"], first["total_cents"]) == ("人民广场", 1800)
    none = {"options.sugar": "", "options.ice": ""}
    assert first["lines"] == [
        {"sku": "tea", "qty": 2, **none, "options.sugar": "half"},
        {"sku": "cake", "qty": 1, **none},
    ]
    assert (second["stars"], second["lines"]) == (4.5, [])


ODD = st.sampled_from(
    [b"", b" ", b"\\", b'"', b"{", b"}", b"[", b"]", b",", b":", b"-", b"0", b"9" * 20, b"1.5", b"e5", b"null", b"true",
     b"\x00", b"\x7f", b"\x80", b"\xff", b"\xc3\xa9", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xe0\x80\x80", b'"type":',
     b'"lines":[{"qty":2}],', b"\\u00e9", b"\\ud800"]
)  # fmt: skip
mutilations = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), ODD), max_size=3)


def mutilated(raw: bytes, hits: list[tuple[int, int, bytes]]) -> bytes:
    for place, gone, put in hits:
        at = place % (len(raw) + 1)
        raw = raw[:at] + put + raw[at + gone :]
    return raw


@settings(max_examples=125, deadline=None)
@given(logs(longest=3), mutilations)
def test_broken_bytes_are_read_or_refused_as_msgspec_does(
    log: list[e.Event], hits: list[tuple[int, int, bytes]]
) -> None:
    agree([mutilated(e.encode(event), hits) for event in log])


numbers = (
    st.integers(-(10**21), 10**21) | st.floats() | st.sampled_from((2**63 - 1, -(2**63), 2**63, LARGE, -LARGE - 1))
)
LINE_NAMES = ("qty", "sku", "options", "sugar", "ice", "x")
scalars = st.none() | st.booleans() | numbers | st.text(max_size=4)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(LINE_NAMES), inner, max_size=4),
    max_leaves=8,
)
names = st.sampled_from([field.name for field in FIELDS] + ["lines", "else", "é", ""])
objects = st.dictionaries(names, values, max_size=7).map(lambda found: {"type": "order", **found})
NESTED = {"type": "x", "else": [[[[[[[[[[{"a": [1]}]]]]]]]]]]}


@settings(max_examples=150, deadline=None)
@given(st.lists(objects, max_size=4), st.booleans(), st.booleans())
@example([NESTED, {"type": ""}, {}], True, False)
@example([{"type": "x", "stars": 0.1 + 0.2}, {"type": "x", "stars": 5}, {"type": "x", "stars": -0.0}], True, True)
def test_any_json_is_read_as_msgspec_reads_it(found: list[dict[str, Any]], compact: bool, ascii: bool) -> None:
    separators = (",", ":") if compact else None
    agree(
        [json.dumps(one, separators=separators, ensure_ascii=ascii).encode("utf-8", "surrogatepass") for one in found]
    )


def test_any_byte_at_any_place_of_a_text_is_read_or_refused_as_msgspec_does() -> None:
    """Eight are looked at at a time: whichever of them it is, and whatever stands before."""
    texts = [b"a" * place + bytes([byte]) + b"b" * (17 - place) for place in range(18) for byte in range(256)]
    agree([b'{"type":"%b","else":"%b"}' % (text, text) for text in texts])


def test_of_a_key_that_comes_twice_the_last_one_counts() -> None:
    agree([b'{"type":"a","type":"b","at_ms":1,"at_ms":2,"lines":[{"qty":3},{"qty":4}],"lines":[{"qty":5}]}'])


@settings(deadline=None)
@given(st.lists(st.text(max_size=5), max_size=8), st.lists(st.text(max_size=5), max_size=8))
def test_texts_are_grouped_found_and_hashed_as_python_does(texts: list[str], words: list[str]) -> None:
    scanned = SCANNER.scan([json.dumps({"type": "x", "id": text}).encode() for text in texts])
    field, rows = SCANNER.fields["id"], np.arange(len(texts))
    who, first = scanned.group(field, rows)
    different = list(dict.fromkeys(texts))
    assert [different[w] for w in who] == texts
    assert scanned.texts(field, first) == different
    known = list(dict.fromkeys(words))
    assert scanned.find(field, Words(known)).tolist() == [known.index(t) if t in known else -1 for t in texts]
    assert scanned.hashes(field, rows).tolist() == hash_texts(texts).tolist()


def test_many_words_are_found_too() -> None:
    words = [f"w{number}" for number in range(1000)]
    scanned = SCANNER.scan([json.dumps({"type": "x", "id": word}).encode() for word in (*words, "w1000")])
    assert scanned.find(SCANNER.fields["id"], Words(words)).tolist() == [*range(1000), -1]
    assert scanned.texts(SCANNER.fields["id"], slice(None)) == [*words, "w1000"]
