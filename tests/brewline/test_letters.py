"""Dead letters are summed up, listed without what they hold, and sent again as they were."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console
from typer.testing import CliRunner

from brewline.cli import app
from brewline.letters import Asked, Letter, latest_letters, read_letters, resend, show_letter, show_letters, sum_up
from brewline.sender import NotDelivered
from brewline.watch import Watch
from config.settings import Settings
from features.job import Batch, Message
from features.messages import Refused, dead_letter
from operators.kafka import partition_count, producer
from operators.resent import first_offsets
from tests.flowprocess import WAIT_S, environ, make_topics, read, until

pytestmark = pytest.mark.servers
QUIET = Console(file=io.StringIO(), width=200)
PHONE = b'{"phone": "+8613800138000", "cut short'


@pytest.fixture
def letters(settings: Settings) -> Settings:
    """Six records of tills on their partitions, four of which are dead letters: one of them twice, one cut."""
    make_topics(settings, ["pos.events", "app.events", "dead-letters"])
    topic, sender = settings.topic("pos.events"), producer(settings.kafka.librdkafka())
    values = [b"zero", PHONE, b"two", b"three" * 100, b"four", b"five"]
    for offset, value in enumerate(values):
        sender.produce(topic, value, f"till-{offset}", partition=1, timestamp=1_000 * offset)
    refused = {1: "malformed", 2: "malformed", 3: "too_large", 4: "unknown_field"}
    for offset, reason in [*refused.items(), (1, "malformed")]:
        batch = Batch(topic, 1, offset - 1, [offset], [values[offset]], [1_000 * offset])
        letter = dead_letter(settings.topic("dead-letters"), batch, 0, Refused(reason, f"detail of {offset}"))
        if reason == "too_large":
            letter = Message(letter.topic, letter.key, b"thr", {"whole_bytes": "500", **letter.headers})
        sender.produce(letter.topic, letter.value, letter.key, headers=list(letter.headers.items()))
    assert sender.flush(WAIT_S) == 0
    return settings


def id_of(settings: Settings, offset: int) -> str:
    return f"{settings.topic('pos.events')}/1/{offset}"


def found(settings: Settings, *ids: str, reason: str = "", topic: str = "") -> list[Letter]:
    return read_letters(settings, Asked(reason, topic, ids), QUIET, values=True)


@pytest.mark.parametrize("odd", ["[/urgent] 12", "[red]x", "[/]"])
def test_what_letters_say_is_shown_as_it_stands(odd: str) -> None:
    shown = io.StringIO()
    letter = Letter(odd, odd, odd, odd, 2, 70, 1, 9, True)
    for show in (sum_up, show_letters):
        show([letter], Console(file=shown, width=200))
    assert shown.getvalue().count(odd) == 6


def test_they_are_summed_up_by_topic_and_reason_and_each_counts_once(letters: Settings) -> None:
    rows = sum_up(found(letters), QUIET)
    assert [(row["topic"], row["reason"], row["letters"]) for row in rows] == [
        ("pos.events", "malformed", 2),
        ("pos.events", "too_large", 1),
        ("pos.events", "unknown_field", 1),
    ]
    assert rows[0]["first"] == "1970-01-01T00:00:01"


def test_a_list_holds_none_of_what_they_hold(letters: Settings) -> None:
    shown = io.StringIO()
    read = read_letters(letters, Asked(), QUIET, values=False)
    assert {letter.value for letter in read} == {b""}
    rows = show_letters(read, Console(file=shown, width=200))
    assert [row["id"] for row in rows] == [id_of(letters, offset) for offset in (1, 2, 3, 4)]
    assert rows[2]["bytes"] == 500
    for text in (shown.getvalue(), json.dumps(rows)):
        assert "138001" not in text
        assert "detail of 1" in text


def test_the_value_is_shown_to_who_asks_for_it(letters: Settings) -> None:
    [letter] = found(letters, id_of(letters, 1))
    plain, whole = io.StringIO(), io.StringIO()
    show_letter(letter, False, Console(file=plain, width=200))
    show_letter(letter, True, Console(file=whole, width=200))
    assert "138001" not in plain.getvalue()
    assert PHONE.decode() in whole.getvalue()


def test_sent_again_a_record_is_behind_the_others_of_its_partition_under_its_key_as_it_was(letters: Settings) -> None:
    assert resend(letters, found(letters, reason="malformed"), "anna", QUIET) == 2
    assert resend(letters, found(letters, id_of(letters, 3)), "anna", QUIET) == 1
    again = read(letters, "pos.events")[1][6:]
    assert [(m.key(), m.value()) for m in again] == [
        (b"till-1", PHONE),
        (b"till-2", b"two"),
        (b"till-3", b"three" * 100),
    ]
    assert dict(again[0].headers() or []) == {"resent_from": id_of(letters, 1).encode(), "resent_by": b"anna"}


def test_sent_again_a_record_is_known_by_where_it_stood_at_first(letters: Settings) -> None:
    topic = letters.topic("pos.events")
    resend(letters, found(letters, id_of(letters, 2)), "anna", QUIET)
    resend(letters, [replace(found(letters, id_of(letters, 2))[0], offset=6, id=f"{topic}/1/2/till")], "anna", QUIET)
    sender = producer(letters.kafka.librdkafka())
    for false in (f"{topic}/1/70", f"{topic}/2/1", "pos/1/1", "x", ""):
        sender.produce(topic, b"false", partition=1, headers={"resent_from": false})
    assert sender.flush(WAIT_S) == 0
    assert first_offsets(read(letters, "pos.events")[1]) == {6: 2, 7: 2}


def test_what_its_topic_no_longer_has_comes_out_of_the_letter_unless_that_was_cut(letters: Settings) -> None:
    gone = [Letter(id, "r", "", "pos.events", 2, 70, 1, 9, whole, b"kept") for id, whole in (("a", True), ("b", False))]
    said = io.StringIO()
    assert resend(letters, gone, "anna", Console(file=said, width=200)) == 1
    [message] = read(letters, "pos.events")[2]
    assert (message.key(), message.value()) == (None, b"kept")
    assert "b: left out" in said.getvalue()


def test_a_letter_of_what_is_no_topic_keeps_none_of_the_others_back(letters: Settings) -> None:
    timer = Letter("timers/0/5", "internal_error", "", "timers", 0, 5, 1, 3, True, b"c12")
    said = io.StringIO()
    asked = [*found(letters, id_of(letters, 1)), timer, *found(letters, id_of(letters, 4))]
    assert resend(letters, asked, "anna", Console(file=said, width=200)) == 2
    assert [m.value() for m in read(letters, "pos.events")[1][6:]] == [PHONE, b"four"]
    assert "timers/0/5: left out: Kafka has no such partition of a topic timers" in said.getvalue()


def test_a_record_that_is_too_large_to_be_sent_again_is_told_once_the_others_are(letters: Settings) -> None:
    large = Letter("large", "too_large", "", "pos.events", 2, 70, 1, 9, True, b"x" * 40_000_000)
    with pytest.raises(NotDelivered, match=r"1 records were not delivered; the first: .*too large"):
        resend(letters, [large, *found(letters, id_of(letters, 4))], "anna", QUIET)
    assert [m.value() for m in read(letters, "pos.events")[1][6:]] == [b"four"]


def test_what_others_write_to_the_topic_is_no_letter_and_hides_none(letters: Settings) -> None:
    sender, topic = producer(letters.kafka.librdkafka()), letters.topic("dead-letters")
    ours = {"ce_id": "x/0/1", "reason": "r", "detail": "", "source_topic": "x", "source_partition": "0"}
    sender.produce(topic, b"{}", "no headers")
    sender.produce(topic, b"{}", headers={"__connect.errors.topic": "orders", "ce_id": b"\xff", "reason": None})
    sender.produce(topic, b"{}", headers={**ours, "source_offset": "first", "ce_time": "2026-05-01T00:00:00Z"})
    sender.produce(topic, b"{}", headers={**ours, "source_offset": "1", "ce_time": "yesterday"})
    assert sender.flush(WAIT_S) == 0
    assert len(found(letters)) == 4
    assert len(latest_letters(letters, 100)[0]) == 4
    starts = {f"{topic}/{partition}": 0 for partition in range(letters.kafka.partitions)}
    watch = Watch(letters, topics=("dead-letters",), starts=starts)
    until(lambda: not [*watch.poll(0.2)] and watch.dead_letters["malformed"] == 2)
    assert watch.dead_letters["unknown_field"] == 1
    watch.close()


def test_what_no_letter_has_is_named_with_what_there_is(letters: Settings) -> None:
    with pytest.raises(ValueError, match="no dead letter has the reason 'malformd'; did you mean 'malformed'"):
        found(letters, reason="malformd")
    with pytest.raises(ValueError, match=r"no dead letter has the topic 'weather'; known are pos.events"):
        found(letters, topic="weather")
    with pytest.raises(ValueError, match="there is no dead letter 'x/1/2'"):
        found(letters, "x/1/2")


def test_the_commands_say_what_they_did(letters: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environ(letters).items():
        monkeypatch.setenv(name, value)
    run = CliRunner().invoke
    assert "malformed" in run(app, ["dead-letters", "--json", str(tmp_path / "a.json")]).output
    assert [row["letters"] for row in json.loads((tmp_path / "a.json").read_text())["dead_letters"]] == [2, 1, 1]
    assert "4 in all; the latest 1:" in run(app, ["dead-letters", "list", "--last", "1"]).output
    refused = run(app, ["dead-letters", "resend", "--reason", "malformed"], input="n\n")
    assert "Send 2 records again?" in refused.output
    assert partition_count(producer(letters.kafka.librdkafka()), letters.topic("pos.events")) > 1
    assert len(read(letters, "pos.events")[1]) == 6
    sent = run(app, ["dead-letters", "resend", id_of(letters, 4), "--by", "anna", "--yes"])
    assert "sent again: 1" in sent.output
    assert [m.value() for m in read(letters, "pos.events")[1][6:]] == [b"four"]
    assert isinstance(run(app, ["dead-letters", "resend"]).exception, ValueError)
