"""Made Sigma rules and events, the same for the same seed: many rules of one log source, and what they look at."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import orjson
import yaml

LOG = {"product": "windows", "category": "process_creation"}
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-_/\\."
PROGRAMS = 400
USERS = 2_000


class Made:
    """Words, programs, rules and events of one seed."""

    def __init__(self, seed: int, rules: int) -> None:
        self.rng = Random(seed)
        self.programs = [f"\\{self._word(4, 9)}.exe" for _ in range(PROGRAMS)]
        self.folders = [f"C:\\{self._word(5, 9)}\\{self._word(4, 8)}" for _ in range(60)]
        self.looked_for: list[tuple[str, list[str]]] = []  # a program and words that some rule looks for together
        self.rules = [(f"{n}.yml", yaml.safe_dump(self._rule(n), sort_keys=False)) for n in range(rules)]

    def _word(self, low: int, high: int) -> str:
        return "".join(self.rng.choices(LETTERS, k=self.rng.randint(low, high)))

    def _rule(self, number: int) -> dict[str, Any]:
        """A program with words in its command, perhaps a parent, without what a filter lets through."""
        rng, words = self.rng, [self._word(5, 14) for _ in range(4)]
        programs = rng.sample(self.programs, rng.randint(1, 3))
        self.looked_for.append((programs[0], [f"-{word}" for word in words[:2]]))
        detection: dict[str, Any] = {
            "selection_img": [
                {"Image|endswith": programs},
                {"OriginalFileName": rng.choice(self.programs)[1:]},
            ],
            "selection_cli": rng.choice(
                [
                    {"CommandLine|contains": words[:3]},
                    {"CommandLine|contains|all": words[:2]},
                    {"CommandLine|contains": words[0], "ParentImage|endswith": rng.choice(self.programs)},
                    {"CommandLine|re": f"{words[0][:4].replace(chr(92), '.').replace('.', '[.]')}[a-z0-9]+ "},
                    {"CommandLine|windash|contains": f" -{words[0]}"},
                ]
            ),
            "filter_main": {"ParentCommandLine|contains": words[3], "User|contains": ["AUTHORI", "AUTORI"]},
            "condition": "all of selection_* and not 1 of filter_*",
        }
        return {"title": f"Made {number}", "name": f"made-{number}", "logsource": LOG, "detection": detection}

    def events(self, count: int, told: float = 0.05) -> Iterator[bytes]:
        """JSON objects of 14 fields; a share of `told` has what some rule looks for."""
        rng = self.rng
        for n in range(count):
            image, parent = rng.choice(self.programs), rng.choice(self.programs)
            said: list[str] = []
            if rng.random() < told:
                image, said = rng.choice(self.looked_for)
            yield orjson.dumps(
                {
                    "EventID": 1,
                    "UtcTime": f"2026-05-04 10:{n // 60_000 % 60:02}:{n // 1000 % 60:02}.{n % 1000:03}",
                    "ProcessId": rng.randint(4, 60_000),
                    "Image": rng.choice(self.folders) + image,
                    "OriginalFileName": image[1:],
                    "CommandLine": self._command(rng.choice(self.folders) + image, said),
                    "CurrentDirectory": rng.choice(self.folders),
                    "User": f"SHOP\\user{rng.randrange(USERS)}",
                    "IntegrityLevel": rng.choice(("Medium", "High", "System")),
                    "Hashes": f"SHA256={rng.getrandbits(256):064X}",
                    "ParentProcessId": rng.randint(4, 60_000),
                    "ParentImage": rng.choice(self.folders) + parent,
                    "ParentCommandLine": self._command(rng.choice(self.folders) + parent, []),
                    "Computer": f"pc-{rng.randrange(500)}",
                }
            )

    def _command(self, program: str, said: list[str]) -> str:
        """A program with a few arguments, no two alike."""
        rng = self.rng
        words = [self._word(4, 16) for _ in range(rng.randint(2, 8))] + said
        return f'"{program}" {" ".join(words)} {rng.getrandbits(40):x}'
