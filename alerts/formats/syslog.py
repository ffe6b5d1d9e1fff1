"""A syslog message (RFC 5424), and its frame on a stream: octet counting (RFC 6587, 3.4.1; RFC 5425, 4.3)."""

from __future__ import annotations

import re

from features.times import rfc3339

AUDIT = 13  # facility: log audit
SEVERITY = {"informational": 6, "low": 5, "medium": 4, "high": 3, "critical": 2}
BOM = b"\xef\xbb\xbf"
NIL = "-"
LONGEST = {"host": 255, "app": 48, "id": 32}


def syslog_message(severity: str, at_ms: int, host: str, kind: str, text: str) -> bytes:
    """`kind` becomes the MSGID. A byte order mark says that `text` is UTF-8, where it is more than ASCII."""
    priority = AUDIT * 8 + SEVERITY[severity]
    head = f"<{priority}>1 {rfc3339(at_ms)} {_name(host, 'host')} brewline - {_name(kind, 'id')}"
    mark = b"" if text.isascii() else BOM
    return f'{head} [origin software="brewline"] '.encode() + mark + text.encode()


def _name(text: str, field: str) -> str:
    """Printable ASCII without blanks."""
    return re.sub(r"[^!-~]", "_", text)[: LONGEST[field]] or NIL


def framed(message: bytes) -> bytes:
    """As it goes over TCP and TLS; a datagram needs no frame."""
    return b"%d %b" % (len(message), message)
