"""What people do on the board, in Brewline's own audit trail.

What cannot be noted in Redis is not done. To Kafka it goes a moment later, from a thread of its own.
"""

from __future__ import annotations

import time
from threading import Event, Thread

from board.access.person import Person
from brewline.trail import open_trail
from config.settings import Settings
from features.audited import AuditAccess
from operators.health import warn_seldom
from operators.kafka import Unreachable

DEVICE = "board"
SOON_S = 0.2
AGAIN_S = 30.0
CLOSE_S = 0.3


class Notes:
    def __init__(self, settings: Settings) -> None:
        """Raises Unreachable."""
        self.trail = open_trail(settings)
        self.news, self.stop = Event(), Event()
        self.sender = Thread(target=self._send, name="audit trail", daemon=True)
        self.sender.start()

    def note(
        self,
        person: Person,
        action: str,
        object: str,
        rows: int = 0,
        purpose: str = "",
        ip: str = "",
        result: str = "ok",
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
                client_ip=ip,
                device=DEVICE,
                result=result,
                action=action,
            )
        )
        self.news.set()

    def _send(self) -> None:
        while not self.stop.is_set():
            self.news.wait()
            self.stop.wait(SOON_S)  # what comes together goes together
            self.news.clear()
            try:
                self.trail.send()
            except (Unreachable, OSError) as error:
                warn_seldom("the audit trail waits for Kafka", type(error).__name__, error=f"{error}")
                if not self.stop.wait(AGAIN_S):
                    self.news.set()

    def close(self) -> None:
        self.stop.set()
        self.news.set()
        self.sender.join(CLOSE_S)  # what has not gone waits in Redis
