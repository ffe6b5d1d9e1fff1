"""Sends syslog messages as datagrams, over TCP or over TLS.

A stream has no acknowledgement of its own: a message counts as delivered when the receiver's machine has confirmed all
of its bytes, which is the most that can be known here.
"""

from __future__ import annotations

import errno
import fcntl
import select
import socket
import ssl
import struct
import termios
import time
from collections.abc import Callable
from typing import Literal

import orjson

from alerts.delivery.answer import Answer
from alerts.formats.cef import cef_line
from alerts.formats.ecs import ecs_event
from alerts.formats.leef import leef_line
from alerts.formats.ocsf import detection_finding
from alerts.formats.syslog import framed, syslog_message
from alerts.notices.errand import Envelope, read_notice
from features.outgoing import Notice
from operators.health import warn_seldom

Over = Literal["udp", "tcp", "tls"]
LOOK_S = 0.002
TOO_LARGE = 413  # no datagram holds it, so that it is refused for good
LINES: dict[str, Callable[[Notice, str], str]] = {
    "cef": cef_line,
    "leef": leef_line,
    "ecs": lambda notice, id: orjson.dumps(ecs_event(notice, id)).decode(),
    "ocsf": lambda notice, id: orjson.dumps(detection_finding(notice, id)).decode(),
}


class Syslog:
    """One connection, opened when it is needed; for one thread at a time. `tls`: none for udp and tcp."""

    def __init__(self, host: str, port: int, over: Over, format: str, timeout_s: float, tls: ssl.SSLContext | None):
        self.place = (host, port)
        self.over = over
        self.line = LINES[format]
        self.timeout_s = timeout_s
        self.tls = tls
        self.own_name = socket.gethostname()
        self.link: socket.socket | None = None

    def post(self, id: str, body: bytes) -> Answer:
        started_s = time.monotonic()
        answer = self._try(self._message(read_notice(body)), started_s + self.timeout_s)
        answer.seconds = time.monotonic() - started_s
        return answer

    def _message(self, envelope: Envelope) -> bytes:
        notice = envelope.data
        line = self.line(notice, envelope.id)
        return syslog_message(notice.severity, notice.at_ms, self.own_name, notice.action, line)

    def _try(self, message: bytes, until_s: float) -> Answer:
        try:
            self._send(message, until_s)
        except TimeoutError:
            self.close()
            return Answer(failure="timeout")
        except OSError as error:  # an error of TLS is one as well
            if error.errno == errno.EMSGSIZE:
                return Answer(TOO_LARGE)
            warn_seldom("syslog receiver fails", type(error).__name__, error=str(error))
            self.close()
            return Answer(failure="connection")
        return Answer(200)

    def _send(self, message: bytes, until_s: float) -> None:
        link = self._open()
        if self.over == "udp":
            link.send(message)
            return
        link.sendall(framed(message))
        while _unconfirmed(link):
            if time.monotonic() > until_s:
                raise TimeoutError
            time.sleep(LOOK_S)
        if _has_ended(link):
            raise ConnectionResetError("the receiver has hung up")

    def _open(self) -> socket.socket:
        """The connection there is, if the receiver has not ended it."""
        if self.link is not None and self.over != "udp" and _has_ended(self.link):
            self.close()
        if self.link is None:
            self.link = self._connect()
        return self.link

    def _connect(self) -> socket.socket:
        if self.over == "udp":
            family, kind, protocol, _, address = socket.getaddrinfo(*self.place, type=socket.SOCK_DGRAM)[0]
            link = socket.socket(family, kind, protocol)
            link.connect(address)
            return link
        link = socket.create_connection(self.place, self.timeout_s)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.tls.wrap_socket(link, server_hostname=self.place[0]) if self.tls else link

    def close(self) -> None:
        if self.link is not None:
            self.link.close()
            self.link = None


def _unconfirmed(link: socket.socket) -> int:
    """Bytes that the other side's machine has not confirmed yet."""
    return int(struct.unpack("i", fcntl.ioctl(link.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0])


def _has_ended(link: socket.socket) -> bool:
    """A receiver of syslog never speaks on a stream but to end it; what TLS itself has to say is read away."""
    readable, _, _ = select.select([link], [], [], 0)
    if not readable:
        return False
    wait_s = link.gettimeout()
    link.settimeout(0.0)
    try:
        return link.recv(1) == b""
    except (ssl.SSLWantReadError, BlockingIOError):
        return False
    except OSError:
        return True
    finally:
        link.settimeout(wait_s)


def trust(ca_file: str, certificate_file: str, key_file: str) -> ssl.SSLContext:
    """Whom TLS believes, and who we are. Raises OSError where a file cannot be used."""
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate_file:
        context.load_cert_chain(certificate_file, key_file)
    return context
