"""What people do on the board, in Brewline's own audit trail.

What cannot be noted in Redis is not done. To Kafka it goes a moment later, from a thread of its own. What a program
does hundreds of times a second is noted once a second, with how many; as soon as that fails, it may not go on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from threading import Event, Lock, Thread

from redis.exceptions import RedisError

from board.access.person import Person
from brewline.trail import open_trail
from config.settings import Settings
from features.audited import AuditAccess
from operators.health import warn_seldom
from operators.kafka import Unreachable

SOON_S = 1.0
AGAIN_S = 30.0
CLOSE_S = 0.3


class Notes:
    def __init__(self, settings: Settings) -> None:
        """Raises Unreachable."""
        self.trail = open_trail(settings)
        self.news, self.stop = Event(), Event()
        self.lock, self.often = Lock(), Counter[tuple[Person, str, str, str]]()
        self.failed: RedisError | ValueError | None = None
        self.threads = [Thread(target=work, daemon=True) for work in (self._keep, self._send)]
        for thread in self.threads:
            thread.start()

    def note(
        self,
        person: Person,
        action: str,
        object: str,
        rows: int = 0,
        purpose: str = "",
        ip: str = "",
        result: str = "ok",
        fields: Sequence[str] = (),
    ) -> None:
        """Notes what is about to be done. Raises RedisError, ValueError, and then it must not be done."""
        self.trail.append(
            AuditAccess(
                id="trail",
                time=round(time.time() * 1000),
                actor=person.name,
                role=",".join(sorted(person.roles))[:128],
                purpose=purpose[:128],
                object=object[:128],
                rows=rows,
                fields=[*fields],
                client_ip=ip,
                result=result,
                action=action,
            )
        )
        self.news.set()

    def note_often(self, person: Person, object: str, rows: int, purpose: str, ip: str) -> None:
        """Notes a view within the second. Raises RedisError, ValueError while the notes before cannot be kept."""
        with self.lock:
            if self.failed:
                raise self.failed
            self.often[person, object, purpose, ip] += rows

    def _gather(self) -> None:
        with self.lock:
            found, self.often = self.often, Counter()
        try:
            for (person, object, purpose, ip), rows in found.items():
                self.note(person, "view", object, rows, purpose, ip)
            self.failed = None
        except (RedisError, ValueError) as error:  # some may be noted twice: better than never
            self.failed = error
            with self.lock:
                self.often += found

    def _keep(self) -> None:
        while not self.stop.wait(SOON_S):
            self._gather()
        self._gather()

    def _send(self) -> None:
        """It may wait long for Kafka."""
        while not self.stop.is_set():
            self.news.wait()
            self.news.clear()
            try:
                self.trail.send()
            except (Unreachable, RedisError) as error:
                warn_seldom("the audit trail waits for Kafka", type(error).__name__, error=f"{error}")
                self.stop.wait(AGAIN_S)
                self.news.set()
            self.stop.wait(SOON_S)  # what comes together goes together

    def close(self) -> None:
        self.stop.set()
        self.news.set()
        for thread in self.threads:
            thread.join(CLOSE_S)  # what has not gone to Kafka waits in Redis
