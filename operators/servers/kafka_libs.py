"""What runs Kafka: Java, and Kafka's jars, fetched once by Maven into a cache outside the tree."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from xml.etree import ElementTree

POM = Path(__file__).with_name("kafka-libs.xml")
VERSION = ElementTree.parse(POM).findtext(".//{*}kafka.version")
OLDEST_JAVA = 17
FETCH_TIMEOUT_S = 600


class NoKafka(RuntimeError):
    """Why Kafka cannot be started here, in one sentence."""


def why_no_kafka() -> str | None:
    """The reason why Kafka cannot be started, None when it can; fetches its jars when they are missing."""
    try:
        find_java()
        kafka_libs()
    except NoKafka as reason:
        return str(reason)
    return None


def find_java() -> str:
    """$JAVA_HOME's java, or the one on PATH. Raises NoKafka when it is missing or too old."""
    home = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if program is None:
        raise NoKafka(f"Kafka {VERSION} needs Java {OLDEST_JAVA} or later, and no java was found on PATH or JAVA_HOME")
    said = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < OLDEST_JAVA:
        version = found[1] if found else said.strip() or "nothing"
        raise NoKafka(f"Kafka {VERSION} needs Java {OLDEST_JAVA} or later, and {program} says {version}")
    return program


def find_maven() -> str:
    """The mvn on PATH. Raises NoKafka."""
    if program := shutil.which("mvn"):
        return program
    raise NoKafka(f"Kafka's jars are not in {_libs()}, and no mvn was found on PATH to fetch them")


def kafka_libs() -> Path:
    """The folder of Kafka's jars, fetched when it is missing; one process fetches, others wait. Raises NoKafka."""
    libs = _libs()
    if libs.is_dir():
        return libs
    maven = find_maven()
    libs.parent.mkdir(parents=True, exist_ok=True)
    with (libs.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not libs.is_dir():
            _fetch(maven, libs)
    return libs


def _libs() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = os.environ.get("BREWLINE_CACHE") or Path(home, "brewline")
    return Path(cache, f"kafka-{VERSION}", "libs").absolute()


def _fetch(maven: str, libs: Path) -> None:
    """Fetches beside `libs` and renames, so that `libs` is there whole or not at all."""
    with tempfile.TemporaryDirectory(dir=libs.parent) as folder:
        fetched = Path(folder, "libs")
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={fetched}", "-DincludeScope=runtime"]
        command = [maven, "-q", "-B", "--strict-checksums", "-f", str(POM), *goal]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise NoKafka(f"Maven did not fetch Kafka's jars in {FETCH_TIMEOUT_S} s") from error
        if done.returncode:
            said = next((line for line in done.stdout.splitlines() if "ERROR" in line), done.stderr.strip())
            raise NoKafka(f"Maven could not fetch Kafka's jars: {said}")
        fetched.rename(libs)
