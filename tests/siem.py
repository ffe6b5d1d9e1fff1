"""Receivers of alerts as the other side runs them: Alertmanager, rsyslog with TLS, and a collector that fails."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from operators.servers import die_with_parent, free_port
from tests.flowprocess import until

ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
RSYSLOG = shutil.which("rsyslogd") or shutil.which("/usr/sbin/rsyslogd")
TLS_PART = ("rsyslog/lmnsd_gtls.so", "*/rsyslog/lmnsd_gtls.so")
GNUTLS = any(found for path in TLS_PART for found in Path("/usr/lib").glob(path))
OPENSSL = shutil.which("openssl")


@contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=die_with_parent()
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


class Alertmanager:
    """A real one; `alerts` is what it shows."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def alerts(self) -> list[dict[str, Any]]:
        with urlopen(f"{self.url}/api/v2/alerts", timeout=5) as answer:
            found: list[dict[str, Any]] = json.load(answer)
        return found


@contextmanager
def alertmanager(folder: Path, port: int) -> Iterator[Alertmanager]:
    assert ALERTMANAGER
    config = folder / "alertmanager.yml"
    config.write_text("route: {receiver: none, group_wait: 1s}\nreceivers: [{name: none}]\n", "utf-8")
    listen = [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    command = [ALERTMANAGER, f"--config.file={config}", f"--storage.path={folder / 'am'}", *listen]
    with running(command, folder / "alertmanager.log"):
        until(lambda: listens(port))
        yield Alertmanager(port)


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """An authority of its own, and the certificate and key of `localhost` that it vouches for."""
    authority, key, certificate = folder / "ca.pem", folder / "server.key", folder / "server.pem"

    def openssl(*words: object) -> None:
        assert OPENSSL
        subprocess.run([OPENSSL, *map(str, words)], check=True, capture_output=True, timeout=60)

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    ca = ("-subj", "/CN=Test authority", "-addext", "keyUsage=critical,keyCertSign", "-keyout", folder / "ca.key")
    openssl("req", "-x509", *new, *ca, "-out", authority, "-days", 2)
    openssl("req", *new, "-subj", "/CN=localhost", "-keyout", key, "-out", folder / "server.csr")
    names = folder / "names.txt"
    names.write_text("subjectAltName=DNS:localhost\n", "utf-8")
    signer = ("-CA", authority, "-CAkey", folder / "ca.key", "-CAcreateserial", "-extfile", names)
    openssl("x509", "-req", "-in", folder / "server.csr", *signer, "-days", 2, "-out", certificate)
    return authority, certificate, key


class Rsyslog:
    """A real one; `lines` are what it has written: head and message, as it has read them."""

    def __init__(self, folder: Path, tls: int, tcp: int, udp: int, authority: Path) -> None:
        self.folder, self.tls, self.tcp, self.udp, self.authority = folder, tls, tcp, udp, authority
        self.written = folder / "written.json"

    def lines(self) -> list[dict[str, str]]:
        if not self.written.exists():
            return []
        whole = self.written.read_bytes().rpartition(b"\n")[0]  # it may just be writing another
        return [json.loads(line) for line in whole.decode("utf-8-sig").splitlines()]

    @contextmanager
    def runs(self) -> Iterator[None]:
        assert RSYSLOG
        command = [RSYSLOG, "-n", "-f", str(self.folder / "rsyslog.conf"), "-i", str(self.folder / "rsyslog.pid")]
        with running(command, self.folder / "rsyslog.log") as process:
            until(self.is_ready, because=lambda: self.said(process))
            yield

    def is_ready(self) -> bool:
        return listens(self.tls) and listens(self.tcp) and hears(self.udp)

    def said(self, process: subprocess.Popen[bytes]) -> str:
        return f"rsyslogd: {process.poll()}: {(self.folder / 'rsyslog.log').read_text('utf-8')[-2_000:]}"


def hears(port: int) -> bool:
    """Whether somebody has a port for datagrams; what comes before is lost."""
    return f":{port:04X} " in Path("/proc/net/udp").read_text()


CONF = """
global(workDirectory="{folder}" maxMessageSize="64k"
       defaultNetstreamDriverCAFile="{authority}" defaultNetstreamDriverCertFile="{certificate}"
       defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp")
module(load="imudp")
template(name="line" type="list") {{
  constant(value="{{") property(name="pri" format="jsonf" outname="pri") constant(value=",")
  property(name="app-name" format="jsonf" outname="app") constant(value=",")
  property(name="msgid" format="jsonf" outname="msgid") constant(value=",")
  property(name="structured-data" format="jsonf" outname="sd") constant(value=",")
  property(name="timereported" dateFormat="rfc3339" format="jsonf" outname="at") constant(value=",")
  property(name="inputname" format="jsonf" outname="input") constant(value=",")
  property(name="msg" format="jsonf" outname="msg") constant(value="}}\\n")
}}
ruleset(name="all") {{ action(type="omfile" file="{folder}/written.json" template="line" flushOnTXEnd="on") }}
input(type="imtcp" port="{tls}" address="127.0.0.1" name="tls" ruleset="all"
      streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imtcp" port="{tcp}" address="127.0.0.1" name="tcp" ruleset="all" streamDriver.name="ptcp")
input(type="imudp" port="{udp}" address="127.0.0.1" name="udp" ruleset="all")
"""


def rsyslog(folder: Path) -> Rsyslog:
    authority, certificate, key = certificates(folder)
    found = Rsyslog(folder, free_port(), free_port(), free_port(), authority)
    names = {"folder": folder, "authority": authority, "certificate": certificate, "key": key}
    ports = {"tls": found.tls, "tcp": found.tcp, "udp": found.udp}
    (folder / "rsyslog.conf").write_text(CONF.format(**names, **ports), "utf-8")
    return found


class Collector:
    """An HTTP Event Collector: refuses wrong tokens, is busy at times, acknowledges late, and loses what it is told to.

    `indexed` is what its indexer has, by notice id; `came`: how often each has come.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.came: dict[str, int] = {}
        self.acks: list[str] = []  # notice id by ackId
        self.asked: dict[int, int] = {}
        self.indexed: dict[str, Any] = {}
        self.lost: set[str] = set()  # ids whose first coming is never acknowledged
        self.busy = 0  # so many requests are turned away at first
        self.channels: set[str] = set()

    def event(self, body: Any) -> tuple[int, dict[str, Any]]:
        with self.lock:
            if self.busy:
                self.busy -= 1
                return 503, {"text": "Server is busy", "code": 9}
            id = body["fields"]["notice_id"]
            self.came[id] = self.came.get(id, 0) + 1
            number = len(self.acks)
            lost = body["event"]["finding_info"]["title"] in self.lost and self.came[id] == 1
            self.acks.append("" if lost else id)
            if not lost:
                self.indexed[id] = body
            return 200, {"text": "Success", "code": 0, "ackId": number}

    def ack(self, body: Any) -> tuple[int, dict[str, Any]]:
        """True at the second question, and only once, as Splunk has it."""
        with self.lock:
            found = {}
            for number in body["acks"]:
                self.asked[number] = self.asked.get(number, 0) + 1
                found[str(number)] = self.asked[number] == 2 and bool(self.acks[number])
            return 200, {"acks": found}


@contextmanager
def collector(token: str) -> Iterator[tuple[Collector, str]]:
    told = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            channel = self.headers.get("x-splunk-request-channel")
            if self.headers.get("authorization") != f"Splunk {token}":
                status, said = 403, {"text": "Invalid token", "code": 4}
            elif not channel:
                status, said = 400, {"text": "Data channel is missing", "code": 10}
            else:
                told.channels.add(channel)
                status, said = (told.ack if self.path.endswith("/ack") else told.event)(body)
            answer = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            """What came is kept, not logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield told, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
