"""Raw lines become audit events; what cannot be read is a dead letter, and nothing secret gets through."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.security.lines.job import LinesJob
from alerts.security.lines.mapping import WrongMapping, read_mapping
from alerts.security.lines.reader import Reader
from alerts.security.lines.scrub import scrub
from config.settings import HERE
from features.events import Audit, AuditAccess, AuditExport, decode_audit
from features.identity import Pseudonyms
from features.job import Batch, Message
from features.loop import Store, batches, run
from features.messages import digest
from features.times import parse_time

PSEUDONYMS = Pseudonyms(b"a key of sixteen characters or more", "CN")
READERS = {
    file.stem: Reader(read_mapping(file.read_text(), file.name), PSEUDONYMS) for file in (HERE / "audit").glob("*.toml")
}
NGINX = '10.20.1.7 - eve [26/Nov/2026:20:29:01 +0800] "{}" {} 512 "-" "Firefox/140"'
PG = "2026-11-26 12:29:01.250 UTC [4711] {}@crm 10.20.1.9 LOG:  AUDIT: SESSION,1,1,{}"
SELECT = "READ,SELECT,TABLE,public.customers,\"select id, c.phone from customers c where phone like '138%'\",<none>,420"
CRM = {
    "timestamp": "2026-11-26T20:29:01.250+08:00",
    "user": {"name": "ann", "role": "analyst", "store": "sh-0001"},
    "event": {"action": "customer.export", "count": 420, "columns": ["name", "phone"], "reason": "reporting"},
    "source": {"ip": "10.20.1.8", "device": "pc-7"},
}
AT_MS = parse_time("2026-11-26T20:29:01.000+08:00")


def sent(*records: Any, cuts: tuple[int, ...] = ()) -> Store:
    values = [record if isinstance(record, bytes) else json.dumps(record).encode() for record in records]
    job = LinesJob(READERS, "audit.events", "dead-letters")
    return run(job, batches("audit.lines", 0, values, cuts), {0: Store()})[0]


def raw(source: str, line: Any) -> dict[str, Any]:
    return {"source": source, "line": line}


def events(store: Store) -> list[Audit]:
    return [decode_audit(message.value) for message in store.sent if message.topic == "audit.events"]  # type: ignore[misc]


def letters(store: Store) -> list[Message]:
    return [message for message in store.sent if message.topic == "dead-letters"]


def test_a_line_of_an_access_log_is_a_view_of_a_pseudonym() -> None:
    (event,) = events(sent(raw("nginx", NGINX.format("GET /customers/13800138000?tab=1 HTTP/1.1", 200))))
    assert isinstance(event, AuditAccess)
    assert (event.actor, event.action, event.client_ip, event.device) == ("eve", "view", "10.20.1.7", "Firefox/140")
    assert (event.time, event.result, event.rows, event.role) == (AT_MS, "ok", 1, "crm_user")
    assert event.object == PSEUDONYMS.one("phone", "+86 138 0013 8000")


@pytest.mark.parametrize(
    ("request_", "status", "told"),
    [
        ("GET /customers?phone=1380 HTTP/1.1", 200, ("search", "phone_prefix", "ok")),
        ("GET /customers?phone=13800138000 HTTP/1.1", 200, ("search", "phone", "ok")),
        ("GET /customers?name=Li HTTP/1.1", 200, ("search", "name", "ok")),
        ("POST /login HTTP/1.1", 401, ("login", "", "denied")),
        ("GET /customers/c1/ HTTP/1.1", 500, ("view", "", "failed")),
    ],
)
def test_requests_are_what_their_route_says(request_: str, status: int, told: tuple[str, str, str]) -> None:
    (event,) = events(sent(raw("nginx", NGINX.format(request_, status))))
    assert isinstance(event, AuditAccess)
    assert (event.action, event.query, event.result) == told


@pytest.mark.parametrize("name", ["Zhangwei", "张伟", "customers"])
def test_a_customer_named_in_the_path_is_a_pseudonym_and_what_the_route_sets_is_not(name: str) -> None:
    (event,) = events(sent(raw("nginx", NGINX.format(f"GET /customers/{name} HTTP/1.1", 200))))
    assert event.object.startswith("app_id:")
    (event,) = events(sent(raw("crm", {**CRM, "event": {"action": "customer.read", "target": name}})))
    assert event.object.startswith("app_id:")
    (event,) = events(sent(raw("nginx", NGINX.format("GET /customers?name=Li HTTP/1.1", 200))))
    assert event.object == "customers"


@pytest.mark.parametrize("odd", ["²", "٣²", "①"])
def test_a_sign_that_only_looks_like_a_digit_is_a_dead_letter_and_raises_nothing(odd: str) -> None:
    told = {"action": "customer.read", "count": odd}
    store = sent(raw("crm", {**CRM, "event": told}), raw("crm", {**CRM, "timestamp": odd}))
    assert [letter.headers["reason"] for letter in letters(store)] == ["wrong_type", "wrong_type"]
    (event,) = events(sent(raw("pgaudit", PG.format("eve", SELECT).replace("420", odd))))
    assert event.rows == 0


@pytest.mark.parametrize("digits", [400, 5_000])
def test_numbers_beyond_all_measure_are_dead_letters_and_raise_nothing(digits: int) -> None:
    huge = "1" + "0" * (digits - 1)
    told = {"action": "customer.read", "count": huge}
    whole = json.dumps({**CRM, "timestamp": 0}).replace('"timestamp": 0', f'"timestamp": {huge}')
    as_object = b'{"source": "crm", "line": %s}' % whole.encode()
    store = sent(raw("crm", {**CRM, "event": told}), raw("crm", whole), as_object)
    assert store.position.counts["dead_lettered"] == 3
    assert "read" not in store.position.counts


@pytest.mark.parametrize("actor", ["anna smith", "anna [x", "anna [x] y", r"anna \x22 y", "a  b"])
def test_a_name_of_several_words_is_told_whole(actor: str) -> None:
    (event,) = events(sent(raw("nginx", NGINX.format("GET /customers/1 HTTP/1.1", 200).replace("eve", actor))))
    assert (event.actor, event.client_ip) == (actor, "10.20.1.7")


def test_an_export_is_an_export_and_what_no_route_names_is_skipped() -> None:
    store = sent(
        raw("nginx", NGINX.format("GET /customers/export HTTP/1.1", 200)),
        raw("nginx", NGINX.format("GET /style.css HTTP/1.1", 200)),
        raw("pgaudit", "2026-11-26 12:29:01 UTC [1] eve@crm 10.1.1.1 LOG:  checkpoint complete"),
    )
    (export,) = events(store)
    assert isinstance(export, AuditExport)
    assert store.position.counts == {"read": 1, "skipped": 2}


def test_a_line_of_pgaudit_tells_shape_fields_and_rows_and_no_value() -> None:
    (event,) = events(sent(raw("pgaudit", PG.format("eve", SELECT))))
    assert isinstance(event, AuditAccess)
    assert (event.actor, event.action, event.query, event.rows) == ("eve", "search", "phone_prefix", 420)
    assert (event.fields, event.object, event.time) == (["id", "phone"], "public.customers", AT_MS + 250)


@pytest.mark.parametrize(
    ("audit", "kind", "action"),
    [
        ('READ,COPY,TABLE,public.customers,"copy customers to stdout",<none>,9000', AuditExport, "export"),
        ('WRITE,COPY,TABLE,public.customers,"copy customers from stdin",<none>,9', AuditAccess, "bulk_update"),
        ('WRITE,UPDATE,TABLE,public.customers,"update customers set tier=1",<none>,9', AuditAccess, "bulk_update"),
        ('WRITE,DELETE,TABLE,public.audit_log,"delete from audit_log",<none>,9', AuditAccess, "log_delete"),
        ('WRITE,DELETE,TABLE,public.carts,"delete from carts",<none>,9', AuditAccess, "bulk_delete"),
        ('ROLE,GRANT,,,"grant exporters to ben",<none>', AuditAccess, "permission_change"),
        ('DDL,DROP TABLE,TABLE,public.audit,"drop table audit",<none>', AuditAccess, "log_delete"),
    ],
)
def test_statements_are_what_they_do(audit: str, kind: type[Audit], action: str) -> None:
    (event,) = events(sent(raw("pgaudit", PG.format("root", audit))))
    assert type(event) is kind
    assert getattr(event, "action", "export") == action
    assert event.account == ("ben" if action == "permission_change" else "")


def test_a_json_line_is_read_where_the_mapping_says_as_text_or_as_an_object() -> None:
    one, other = events(sent(raw("crm", CRM), raw("crm", json.dumps(CRM))))
    assert isinstance(one, AuditExport)
    assert (one.actor, one.role, one.store, one.rows, one.purpose) == ("ann", "analyst", "sh-0001", 420, "reporting")
    assert (one.fields, one.client_ip, one.device, one.time) == (["name", "phone"], "10.20.1.8", "pc-7", AT_MS + 250)
    assert one.id != other.id


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"\xff", "malformed"),
        (b'{"line": 1}', "malformed"),
        (raw("ngnix", "x"), "unknown_source"),
        (raw("nginx", "what is this"), "malformed"),
        (raw("nginx", 7), "malformed"),
        (raw("nginx", NGINX.format("POST /login HTTP/1.1", 200).replace("- eve", "- -")), "missing_id"),
        (raw("nginx", NGINX.format("POST /login HTTP/1.1", 200).replace("26/Nov", "32/Nov")), "wrong_type"),
        (raw("pgaudit", "2026-11-26 12:29:01 UTC [1] LOG: AUDIT: SESSION,1"), "malformed"),
        (raw("pgaudit", PG.format("eve", "READ")), "malformed"),
        (raw("crm", "{"), "malformed"),
        (raw("crm", [1]), "malformed"),
        (raw("crm", {**CRM, "timestamp": "soon"}), "wrong_type"),
        (raw("crm", {k: v for k, v in CRM.items() if k != "timestamp"}), "missing_time"),
        (raw("crm", {**CRM, "event": {"action": "customer.read", "count": -4}}), "wrong_type"),
        (raw("crm", {**CRM, "event": {}}), "wrong_type"),
    ],
)
def test_a_bad_line_is_a_dead_letter_as_it_came_and_stops_no_other(record: Any, reason: str) -> None:
    store = sent(raw("crm", CRM), record, raw("crm", CRM))
    (letter,) = letters(store)
    assert letter.headers["reason"] == reason
    assert letter.value == (record if isinstance(record, bytes) else json.dumps(record).encode())
    assert len(events(store)) == 2
    assert store.position.counts["dead_lettered"] == 1


phones = st.from_regex(r"\+?86 ?1[3-9]\d-?\d{4}-?\d{4}", fullmatch=True) | st.from_regex(r"1[3-9]\d{9}", fullmatch=True)
tokens = st.from_regex(r"eyJ[A-Za-z0-9]{12,30}\.[A-Za-z0-9]{8,20}", fullmatch=True) | st.from_regex(
    r"[a-f0-9]{31}[0-9]", fullmatch=True
)
mails = st.from_regex(r"[a-z]{3,9}\.[a-z]{2,9}@[a-z]{2,9}\.(?:com|cn)", fullmatch=True)


@settings(deadline=None)
@given(st.one_of(phones, tokens, mails), st.integers(0, 5))
def test_no_phone_number_token_or_mail_of_a_line_gets_out(secret: str, where: int) -> None:
    where_phone = f"READ,SELECT,TABLE,customers,\"select x from customers where phone = '{secret}'\",n,1"
    as_table = f'READ,SELECT,TABLE,"{secret}","select \'{secret}\' from t",n,1'
    told = {"action": "customer.read", "target": secret, "columns": [secret], "reason": secret}
    lines = [
        raw("nginx", NGINX.format(f"GET /customers?phone={secret}&q={secret} HTTP/1.1", 200)),
        raw("nginx", NGINX.format(f"GET /customers/{secret} HTTP/1.1", 200).replace("Firefox/140", f"x {secret}")),
        raw("pgaudit", PG.format("eve", where_phone)),
        raw("pgaudit", PG.format("eve", as_table)),
        raw("crm", {**CRM, "event": told}),
        raw("crm", {**CRM, "source": {"device": f"till of {secret}"}}),
    ]
    found = b"".join(message.value for message in sent(lines[where]).sent if message.topic == "audit.events")
    assert found
    plain = "".join(c for c in secret if c.isalnum())
    assert secret.encode() not in found
    assert plain.encode() not in found.replace(b"-", b"").replace(b" ", b"")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("导出手机13800138000", "导出手机…"),
        ("13800138000号", "…号"),
        ("138 0013 8000的客户", "…的客户"),
        ("电话+4915112345678号", "电话…号"),
        ("tel13800138000", "tel…"),
        ("tel138-0013-8000x", "tel…x"),
        ("tel8613800138000", "tel…"),
        ("id_13800138000", "id_…"),
        ("13800138000_old", "…_old"),
        ("邮箱li@example.com", "…"),
        ("令牌sk1234567890abcdef1234号", "令牌…号"),
        ("x" * 90 + "li@example.com", "x" * 28 + "…"),
    ],
)
def test_secrets_that_touch_letters_are_left_out(text: str, told: str) -> None:
    assert scrub(text) == told


@pytest.mark.parametrize("text", ["customers_20261126", "ts1764160141000", "o202611260012", "10.20.1.7", "pc-0007"])
def test_names_with_numbers_of_other_lengths_stay(text: str) -> None:
    assert scrub(text) == text


@pytest.mark.parametrize("unit", ["a", "a.", "1", "1 ", "1-a-", "中", "a@", "a1" * 20 + " "])
def test_long_texts_are_cut_before_they_are_searched_and_no_part_is_left_of_what_was_cut(unit: str) -> None:
    began = time.perf_counter()
    for length in range(990, 1_030):
        assert "15900" not in scrub((unit * length)[:length] + " 15900001111" + "x" * 100_000)
    assert time.perf_counter() - began < 2


def test_nothing_is_cleaned_of_a_line_that_does_not_say_who_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alerts.security.lines.reader.scrub", lambda text: 1 / 0)
    line = NGINX.format("GET /customers/1 HTTP/1.1", 401).replace("- eve", "- -")
    (letter,) = letters(sent(raw("nginx", line)))
    assert letter.headers["reason"] == "missing_id"


@settings(deadline=None)
@given(st.text(max_size=200))
def test_what_is_scrubbed_is_scrubbed_for_good(text: str) -> None:
    assert scrub(scrub(text)) == scrub(text)
    assert len(scrub(text)) <= 128


def test_a_line_that_is_read_again_makes_the_same_event() -> None:
    lines = [raw("crm", CRM), raw("nginx", NGINX.format("POST /login HTTP/1.1", 200)), b"?"]
    assert sent(*lines).sent == sent(*lines, cuts=(1, 2)).sent == sent(*lines).sent
    assert len({event.id for event in events(sent(*lines))}) == 2


def test_a_line_that_is_sent_again_makes_the_event_and_the_letter_that_it_made_at_first() -> None:
    values = [json.dumps(raw("crm", CRM)).encode(), b"?"]
    job = LinesJob(READERS, "audit.events", "dead-letters")
    for origin in ({}, {7: 3, 8: 4}, {9: 3, 10: 4}):
        first = min(origin, default=3)
        batch = Batch("audit.lines", 0, first - 1, [first, first + 1], values, [0, 0], resent=origin)
        store = run(job, [batch])[0]
        assert events(store)[0].id == digest("audit.lines/0/3")
        (letter,) = letters(store)
        assert letter.headers["ce_id"] == letter.key == "audit.lines/0/4"
        assert letter.headers["source_offset"] == str(first + 1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('format = "jsn"', "m.toml:1: format: found 'jsn'"),
        ('format = "json"', "nothing says who it was"),
        ('format = "access"', "no route: add"),
        (
            'format = "json"\n[fields]\nactr = "a"',
            "m.toml:3: an audit event has no field 'actr'; did you mean 'actor'?",
        ),
        ('format = "json"\ntimezone = "Mars"\n[fields]\nactor = "a"', "m.toml:2: timezone: found 'Mars'"),
        ('format = "json"\nfeilds = {}', "m.toml:2: unknown key 'feilds'; did you mean 'fields'?"),
        (
            'format = "access"\n[[route]]\nmatch = "GET /c/{object}/{object}"\nset = {}',
            "m.toml:3: route.match: found 'GET /c/{object}/{object}', which names {object} 2 times; write * for",
        ),
        (
            'format = "access"\n[[route]]\nmatch = "* /a/*/b/*/c/*"\nset = {}',
            "m.toml:3: route.match: found '* /a/*/b/*/c/*', which has 3 times *; a path takes 2 at most",
        ),
        (
            'format = "access"\n[[route]]\nmatch = "GET /c/{object}"\nset = { rows = 1 }',
            "m.toml:4: route.set.rows: found 1, expected a text in quotes",
        ),
        (
            'format = "json"\n[fields]\nactor = "a"\n[set]\nrows = "many"',
            "m.toml:5: set.rows: found 'many', expected a whole number in quotes, such as '1'",
        ),
        (
            'format = "json"\n[fields]\nactor = "a"\n[values.rows]\nfew = "some"',
            "m.toml:5: values.rows.few: found 'some', expected a whole number",
        ),
        (
            'format = "json"\n[values]\naction = "x"',
            "m.toml:3: values.action: found 'x', expected a table: [values.action]",
        ),
        ('format = "json"\n[values.result]\nfine = 1', "m.toml:3: values.result.fine: found 1, expected a text in"),
        ('format = "json"\n[fields]\nactor = 5', "m.toml:3: fields.actor: found 5, expected a text"),
        ('format = "access"\n[[route]]\nmatch = "customers"\nset = {}', "m.toml:2: route.match: found 'customers'"),
    ],
)
def test_a_wrong_mapping_is_refused_with_line_and_what_to_write(text: str, told: str) -> None:
    with pytest.raises(WrongMapping) as refused:
        read_mapping(text, "m.toml")
    assert told in str(refused.value)


def test_the_shipped_mappings_are_those_of_the_page() -> None:
    assert sorted(READERS) == sorted(file.stem for file in Path(HERE, "audit").iterdir())
