"""What somebody reads is told however they write it: paths, queries, statements, names and times in odd spellings."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.security.job import SecurityJob
from alerts.security.lines.mapping import read_mapping
from alerts.security.lines.reader import Reader, epoch_ms
from alerts.security.lines.requests import plain_path
from alerts.security.lines.statements import fields_of, searched_by
from config import settings as conf
from config.settings import HERE
from features.check import Limits
from features.events import AuditAccess, encode
from features.identity import Pseudonyms
from features.loop import batches, run
from features.messages import Refused
from features.stores import Stores
from flows.guards import load_security_rules, security_texts

PSEUDONYMS = Pseudonyms(b"a key of sixteen characters or more", "CN")
NGINX, PGAUDIT, CRM = (
    Reader(read_mapping((HERE / "audit" / f"{name}.toml").read_text(), name), PSEUDONYMS)
    for name in ("nginx", "pgaudit", "crm")
)
LINE = '10.0.0.1 - eve [04/May/2026:10:{:02}:{:02} +0800] "{}" 200 512 "-" "x"'
AUDIT = "2026-05-04 10:{:02}:{:02}.123 {} [123] {}@shop 10.0.0.1 LOG:  AUDIT: SESSION,1,1,{}"
RULES = load_security_rules(security_texts(conf.load(environ={})))


def found(reader: Reader, lines: list[str]) -> set[str]:
    """The rules that the lines fire."""
    read = [reader.read(line, f"i{n}") for n, line in enumerate(lines)]
    job = SecurityJob(RULES, Stores("Asia/Shanghai"), Limits(1_000_000, 0, 10**15), 48)
    (store,) = run(job, batches("audit.events", 0, [encode(event) for event in read if event])).values()
    return {orjson.loads(message.value)["data"]["rule"] for message in store.sent if message.topic == "alerts"}


def access(request: str, n: int = 0) -> Any:
    return NGINX.read(LINE.format(n // 60, n % 60, request), f"i{n}")


def statement(text: str, parameters: str = "<none>", rows: int = 12) -> Any:
    spelt = '"{}"'.format(text.replace('"', '""'))
    return PGAUDIT.read(AUDIT.format(0, 0, "UTC", "eve", f"READ,SELECT,,,{spelt},{parameters},{rows}"), "i")


def test_a_table_read_by_a_plain_select_is_found_as_an_export_is() -> None:
    select = 'READ,SELECT,TABLE,public.customers,"SELECT * FROM customers",<not logged>,{}'
    lines = [AUDIT.format(0, 0, "UTC", "eve", select.format(rows)) for rows in (2_000_000, 9_000)]
    assert "bulk_read" in found(PGAUDIT, lines[:1])
    assert found(PGAUDIT, lines[1:]) == set()
    copy = 'DDL,CREATE TABLE AS,TABLE,public.x,"CREATE TABLE x AS SELECT * FROM customers",<none>,100000'
    assert "bulk_read" in found(PGAUDIT, [AUDIT.format(0, 0, "UTC", "eve", copy)])


@pytest.mark.parametrize(
    "path",
    [
        "/customers/%31%32", "//customers/12", "/customers/./12", "/customers%2F12", "/x/../customers/12",
        "/%63ustomers/12", "/customers//12/", "http://crm.example.com/customers/12", r"/\x63ustomers/12",
    ],
)  # fmt: skip
def test_a_view_is_one_however_its_path_is_spelt(path: str) -> None:
    plain = access("GET /customers/12 HTTP/1.1")
    assert access(f"GET {path} HTTP/1.1") == plain
    assert access(f"HEAD {path} HTTP/1.1") == plain


def test_codes_of_blanks_and_question_marks_hide_nothing_of_a_name() -> None:
    names = ["%201", "%202", "a%3Fb", "a%23b", "50%25"]
    views = [access(f"GET /customers/{name} HTTP/1.1") for name in names]
    assert [view.action for view in views] == ["view"] * len(names)
    assert len({view.object for view in views}) == len(names)
    assert access("GET /customers/138%200013%208000 HTTP/1.1").object == PSEUDONYMS.one("phone", "13800138000")
    assert access("GET /customers/%E5%BC%A0 HTTP/1.1").object == access(r"GET /customers/\xE5\xBC\xA0 HTTP/1.1").object


def test_views_with_codes_are_counted_as_others_are() -> None:
    coded = ["".join(f"%{ord(sign):02x}" for sign in str(10_000 + n)) for n in range(250)]
    lines = [LINE.format(n // 60, n % 60, f"GET /customers/{code} HTTP/1.1") for n, code in enumerate(coded)]
    assert found(NGINX, lines) == {"many_customers_viewed"}


def test_the_requests_of_json_logs_are_read_in_the_same_way() -> None:
    written = (HERE / "audit" / "nginx.toml").read_text().replace('"access"', '"json"')
    reader = Reader(read_mapping(f'{written}\n[fields]\nactor = "user"\n', "m"), PSEUDONYMS)
    line = {"time": 1777860000, "user": "eve", "request": "GET //customers/%31%32?x=1 HTTP/1.1"}
    event = reader.read(line, "i")
    assert isinstance(event, AuditAccess)
    assert (event.action, event.object) == ("view", PSEUDONYMS.one("app_id", "12"))


def test_a_quoted_sign_in_a_request_or_a_device_breaks_no_line() -> None:
    assert access(r"GET /customers/1\"2 HTTP/1.1").action == "view"
    line = LINE.format(0, 0, "GET /customers/1 HTTP/1.1").replace('"x"', r'"Moz \"x\" y"')
    assert NGINX.read(line, "i").device == 'Moz "x" y'  # type: ignore[union-attr]


@given(st.text(st.sampled_from("/.%2Fa1?#é \\x"), max_size=30))
def test_no_path_raises_and_none_keeps_dots_or_double_slashes(path: str) -> None:
    parts = plain_path(path).split("/")
    assert parts[0] == ""
    assert not {"", ".", ".."} & {*parts[1:-1]}


@pytest.mark.parametrize(
    ("query", "shape"),
    [
        ("page=1&phone=138", "phone_prefix"),
        ("name=Li&%70hone=138", "phone_prefix"),
        ("filter[phone]=138", "phone_prefix"),
        ("phone=138-0013-8000", "phone"),
        ("phone=%31%33%38", "phone_prefix"),
        ("page=2&name=Li", "name"),
        ("page=2", "page"),
        ("phone=&name=Li", "name"),
    ],
)
def test_a_phone_number_comes_before_all_else_that_is_searched_by(query: str, shape: str) -> None:
    assert access(f"GET /customers?{query} HTTP/1.1").query == shape


@pytest.mark.parametrize(
    "where",
    [
        "phone LIKE '138%'", '"phone" LIKE \'138%\'', 'c."phone" ilike \'%138%\'', "phone LIKE $1",
        "left(phone, 3) = '138'",
        "substr(c.phone,1,3) in ('138')", "phone ~ '^138'", "phone::text ~* '^138'", "starts_with(phone, '138')",
        "phone ^@ '138'", "phone between '138' and '139'", "phone >= '138' and phone < '139'",
        "phone similar to '138%'",
        "phone/**/LIKE/**/'138%'", "phone -- x\n like '138%'", "phone /* /* */ */ like '138%'",
        "phone_number like E'138%'",
        "mobile like '138' || '%'",
    ],
)  # fmt: skip
def test_a_search_by_the_beginning_of_a_number_is_one_in_every_spelling(where: str) -> None:
    assert statement(f"SELECT * FROM customers c WHERE {where}", '"138%"').query == "phone_prefix"


@pytest.mark.parametrize(
    ("where", "parameters", "shape"),
    [
        ("phone = '13800138000'", "<none>", "phone"),
        ('"phone" = $1', "13800138000", "phone"),
        ("phone like $1", "13800138000", "phone"),
        ("phone like $2", '"x,138%"', "phone_prefix"),
        ("id = 3", "<none>", "id"),
        ("name like 'Li%'", "<none>", "name"),
        ("card like '12%'", "<none>", "card_prefix"),
        ("phone <> '' and id = 3", "<none>", "id"),
    ],
)
def test_other_searches_are_what_they_are(where: str, parameters: str, shape: str) -> None:
    assert statement(f"SELECT * FROM customers WHERE {where}", parameters).query == shape


def test_what_a_select_shows_is_no_search() -> None:
    assert searched_by("select left(phone, 3), count(*) from customers where id = 3 group by 1") == "id"
    assert fields_of('select c."phone", name from customers c') == ["phone", "name"]


UNITS = [
    "a", "a.", "/*", "'", "where a ", "select ", "select distinct ", "left(a", 'a"', '"a".', "$a", "$$", "--", "E'\\",
    "a like '", "a not ", "::a", "from", " ",
]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("start", ["select ", "select 1 where ", "select left(", "select '"])
def test_no_statement_is_slow_to_read(start: str, unit: str) -> None:
    began = time.perf_counter()
    statement(start + unit * (100_000 // len(unit)))
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize("unit", ["a", "a ", "AUDIT: ", "@b ", "a@b c"])
def test_no_line_that_only_begins_like_one_is_slow_to_refuse(unit: str) -> None:
    began = time.perf_counter()
    with pytest.raises(Refused):
        PGAUDIT.read(f"2026-05-04 10:00:00 UTC [1] a@b {unit * (200_000 // len(unit))}AUDIT:", "i")
    assert time.perf_counter() - began < 3


def test_padding_hides_no_statement() -> None:
    padded = f"SELECT phone /* {'x' * 140_000} */ FROM customers WHERE phone LIKE '138%' OR name = '{'y' * 140_000}'"
    read = statement(padded, rows=55_000)
    assert (read.query, read.fields, read.rows) == ("phone_prefix", ["phone"], 55_000)
    bound = statement("SELECT 1 FROM customers WHERE phone LIKE $2", f'"{"x" * 140_000},138%"')
    assert bound.query == "phone_prefix"


@pytest.mark.parametrize("text", ["'--'", '"--"', "E'\\' --'", "$$ ' -- $$", "$x$ $$ -- $x$", "'/*'", '"/*"'])
def test_what_looks_like_a_comment_within_quotes_is_none(text: str) -> None:
    assert statement(f"SELECT {text}, phone FROM customers WHERE phone/**/LIKE '138%'").query == "phone_prefix"


@pytest.mark.parametrize("text", ["'a from b'", '"a from b"', "$$ from $$"])
def test_a_quoted_from_ends_no_list_of_columns(text: str) -> None:
    assert "phone" in statement(f"SELECT {text}, phone FROM customers").fields


def test_odd_parameters_stop_nothing() -> None:
    huge = "9" * 5_000
    assert statement(f"SELECT 'phone like ${huge}'").query == "phone_prefix"
    assert statement("SELECT 1 FROM c WHERE phone LIKE $1", '"a\rb\0c"').query == "phone_prefix"
    assert statement("SELECT 1", rows=huge).rows == 0  # type: ignore[arg-type]


def test_walking_through_numbers_is_found_in_access_logs_though_they_know_no_rows() -> None:
    lines = [LINE.format(n, 0, f"GET /customers?page=1&phone=138{n} HTTP/1.1") for n in range(50)]
    assert found(NGINX, lines) == {"unseen_phone_prefix_search"}
    assert found(NGINX, lines[:30]) == set()


@pytest.mark.parametrize("actor", ["anna@corp.com", "svc crm", "anna"])
def test_a_database_user_is_told_whole(actor: str) -> None:
    line = AUDIT.format(0, 0, "UTC", actor, "READ,SELECT,TABLE,public.customers,SELECT 1,<none>,1")
    assert PGAUDIT.read(line, "i").actor == actor  # type: ignore[union-attr]


AT_MS = 1_777_824_000_123


@pytest.mark.parametrize(
    "written", [AT_MS, float(AT_MS), AT_MS / 1000, AT_MS * 1000, AT_MS * 1_000_000, str(AT_MS), str(AT_MS / 1000)]
)
def test_the_unit_of_a_time_is_told_by_its_size(written: Any) -> None:
    assert epoch_ms(written) == AT_MS


@pytest.mark.parametrize(
    "written", [True, False, -5, 1e30, 0, 12, float("nan"), "0001-01-01T00:00:00", "1999-01-01", "-1777824000", [1]]
)
def test_what_is_no_plausible_time_is_refused(written: Any) -> None:
    line = {"timestamp": written, "user": {"name": "ann"}, "event": {"action": "customer.read"}}
    with pytest.raises(Refused):
        CRM.read(line, "i")


@pytest.mark.parametrize(
    ("zone", "named", "at_utc"),
    [
        ("Asia/Shanghai", "2026-05-04 18:00:00.123 CST", "2026-05-04 10:00:00.123"),
        ("Europe/Berlin", "2026-10-25 02:30:00.123 CEST", "2026-10-25 00:30:00.123"),
        ("Europe/Berlin", "2026-10-25 02:30:00.123 CET", "2026-10-25 01:30:00.123"),
    ],
)
def test_a_time_that_names_the_zone_of_its_mapping_is_of_that_zone(zone: str, named: str, at_utc: str) -> None:
    rest = " [1] eve@shop 10.0.0.1 LOG:  AUDIT: SESSION,1,1,READ,SELECT,,,SELECT 1,<none>,1"
    reader = Reader(read_mapping(f'format = "pgaudit"\ntimezone = "{zone}"\n', "m"), PSEUDONYMS)
    event, plain = reader.read(named + rest, "i"), PGAUDIT.read(f"{at_utc} UTC{rest}", "i")
    assert event is not None
    assert plain is not None
    assert event.time == plain.time
    with pytest.raises(Refused, match="`timezone` in the mapping"):
        PGAUDIT.read(named + rest, "i")
    with pytest.raises(Refused, match="`timezone` in the mapping"):
        reader.read(named[:-4].rstrip() + " PDT" + rest, "i")
