"""From a sink as it is declared to what posts notices to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from threading import Event

from msgspec import Struct

from alerts.delivery.lane import Terms
from alerts.delivery.signature import read_secrets
from alerts.notices import sink as s
from features.outgoing import Notice
from operators.posting import Alertmanager, Post, pagerduty, webhook
from operators.splunk import Splunk
from operators.syslog import Syslog, trust
from operators.web import Web

FOREVER = 2**31
WINDOW, AT_ONCE, FAILURES, FIRST_WAIT_S = 200, 8, 5, 0.5
Repeat = Callable[[Callable[[], list[Notice]], Event], None]


class Target(Struct):
    """A sink, ready to be told. `repeat` tells again and again, where the receiver forgets."""

    name: str
    sink: s.Sink
    terms: Terms
    post: Post
    repeat: Repeat | None = None


def make_target(name: str, sink: s.Sink, secret: str, folder: Path) -> Target:
    """`folder`: where relative paths start. Raises ValueError for a secret, OSError for a file that cannot be used."""
    terms = _terms(sink)
    web = Web(sink.timeout_s, terms.in_flight)
    if isinstance(sink, s.Syslog):
        return Target(name, sink, terms, _syslog(sink, folder).post)
    if isinstance(sink, s.Webhook):
        return Target(name, sink, terms, webhook(sink.url, sink.format, read_secrets(secret), web))
    if isinstance(sink, s.PagerDuty):
        return Target(name, sink, terms, pagerduty(sink.url, _word(secret), web))
    if isinstance(sink, s.Splunk):
        shape = {"format": sink.format, "index": sink.index}
        return Target(name, sink, terms, Splunk(sink.url, _word(secret), name, shape, sink.acknowledge_s, web).post)
    assert isinstance(sink, s.Alertmanager)
    manager = Alertmanager(sink.url, _word(secret) if secret else "", sink.resend_s, web)
    return Target(name, sink, terms, manager.post, manager.repeat)


def _terms(sink: s.Sink) -> Terms:
    """Nothing is given up for want of an answer; one goes at a time where an end must not overtake its beginning."""
    in_order = isinstance(sink, (s.Alertmanager, s.PagerDuty))
    alone = in_order or isinstance(sink, s.Syslog)
    return Terms(
        rate_per_s=sink.rate_per_s,
        timeout_s=sink.timeout_s + (sink.acknowledge_s + sink.timeout_s if isinstance(sink, s.Splunk) else 0.0),
        in_flight=1 if alone else AT_ONCE,
        window=1 if in_order else WINDOW,
        max_attempts=FOREVER,
        give_up_s=math.inf,
        backoff_s=min(FIRST_WAIT_S, sink.wait_most_s),
        backoff_most_s=sink.wait_most_s,
        breaker_failures=FAILURES,
        breaker_pause_s=sink.pause_s,
    )


def _syslog(sink: s.Syslog, folder: Path) -> Syslog:
    host, _, port = sink.address.rpartition(":")
    files = [str(folder / name) if name else "" for name in (sink.ca_file, sink.certificate_file, sink.key_file)]
    tls = trust(*files) if sink.over == "tls" else None
    return Syslog(host.strip("[]"), int(port), sink.over, sink.format, sink.timeout_s, tls)


def _word(secret: str) -> str:
    """It becomes a header. A ValueError quotes nothing of it."""
    word = secret.strip()
    if not word.isascii() or not word.isprintable() or " " in word or not word:
        raise ValueError("expected one word of printable ASCII")
    return word
