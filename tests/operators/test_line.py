"""A line: commands as Redis reads them, answers in order, and no watch that outlives its connection."""

from __future__ import annotations

from collections.abc import Iterator

import hiredis
import numpy as np
import pytest
import redis as redis_py
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.exceptions import ConnectionError, ResponseError

from features.kernel.words import packed
from operators.line import Line, many, pack, scored
from operators.servers import RedisServer

pytestmark = pytest.mark.servers


@pytest.fixture
def client(redis: RedisServer) -> redis_py.Redis:
    return redis_py.Redis.from_url(redis.url)


@pytest.fixture
def line(client: redis_py.Redis) -> Iterator[Line]:
    line = Line(client)
    yield line
    line.hang_up()


@given(st.lists(st.binary(max_size=300), min_size=1))
def test_a_command_is_packed_as_the_redis_client_packs_it(words: list[bytes]) -> None:
    assert pack(*words) == hiredis.pack_command(tuple(words))


@settings(deadline=None)  # what is compiled may be compiled here
@given(st.binary(min_size=1, max_size=30), st.lists(st.tuples(st.text(max_size=40), st.binary(max_size=1_200))))
def test_commands_over_many_fields_are_packed_as_others_are(key: bytes, pairs: list[tuple[str, bytes]]) -> None:
    names, fields = packed([name for name, _ in pairs]), [name.encode() for name, _ in pairs]
    assert many(b"HMGET", key, names) == pack(b"HMGET", key, *fields)
    bounds = np.cumsum([0, *(len(value) for _, value in pairs)], dtype=np.int64)
    text = np.frombuffer(b"".join(value for _, value in pairs) or b"\0", dtype=np.uint8)
    each = [word for field, (_, value) in zip(fields, pairs, strict=True) for word in (field, value)]
    assert many(b"HSET", key, names, (text, bounds[:-1], bounds[1:])) == pack(b"HSET", key, *each)


@pytest.mark.parametrize("protocol", [2, 3])
def test_scores_are_read_in_either_version_of_the_protocol(
    redis: RedisServer, topic_prefix: str, protocol: int
) -> None:
    line = Line(redis_py.Redis.from_url(redis.url, protocol=protocol))
    key = topic_prefix.encode()
    show = pack(b"ZRANGE", key, b"0", b"-1", b"WITHSCORES")
    late_ms = 9_007_199_254_740_991
    added = pack(b"ZADD", key, b"5", b"ann", b"%d" % late_ms, b"bob")
    empty, _, full = line.ask(show, added, show)
    assert (scored(empty), scored(full)) == ([], [(b"ann", 5), (b"bob", late_ms)])
    line.hang_up()


def test_answers_come_in_the_order_of_what_was_sent_however_often_before_they_are_collected(line: Line) -> None:
    line.send(pack(b"ECHO", b"1"), pack(b"ECHO", b"2"))
    line.send(pack(b"ECHO", b"3"))
    assert line.collect() == [b"1", b"2", b"3"]
    assert line.collect() == []


def test_after_a_refusal_a_line_begins_anew(line: Line) -> None:
    with pytest.raises(ResponseError, match="wrong number of arguments"):
        line.ask(pack(b"ECHO", b"1"), pack(b"ECHO"), pack(b"ECHO", b"2"))
    assert line.ask(pack(b"ECHO", b"3")) == [b"3"]


def test_a_line_that_was_cut_says_so_instead_of_going_on_without_its_watch(
    line: Line, client: redis_py.Redis, topic_prefix: str
) -> None:
    key = topic_prefix.encode()
    _, id = line.ask(pack(b"WATCH", key), pack(b"CLIENT", b"ID"))
    client.client_kill_filter(_id=id)
    with pytest.raises(ConnectionError):
        line.ask(pack(b"MULTI"), pack(b"SET", key, b"1"), pack(b"EXEC"))
    assert client.get(key) is None


def test_a_connection_ended_behind_a_lines_back_is_not_replaced_in_silence(
    line: Line, client: redis_py.Redis, topic_prefix: str
) -> None:
    line.ask(pack(b"WATCH", topic_prefix.encode()))
    client.connection_pool.disconnect()
    with pytest.raises(ConnectionError, match="was ended"):
        line.send(pack(b"MULTI"))


def test_nothing_is_asked_while_earlier_answers_are_awaited(line: Line) -> None:
    line.send(pack(b"ECHO", b"1"))
    with pytest.raises(RuntimeError, match="1 answers were not collected"):
        line.ask(pack(b"ECHO", b"2"))
    assert line.collect() == [b"1"]


def test_what_is_done_meanwhile_is_done_before_the_answer_is_read(line: Line) -> None:
    awaited: list[int] = []
    assert line.ask(pack(b"ECHO", b"a"), meanwhile=lambda: awaited.append(line.awaited)) == [b"a"]
    assert (awaited, line.awaited) == ([1], 0)


def test_a_line_goes_on_when_what_is_done_meanwhile_fails(line: Line) -> None:
    with pytest.raises(ZeroDivisionError):
        line.ask(pack(b"ECHO", b"a"), meanwhile=lambda: 1 // 0)
    assert line.ask(pack(b"ECHO", b"b")) == [b"b"]
