"""MITRE ATT&CK in the tags of a rule: attack.t1213.004 is a technique, attack.exfiltration a tactic."""

from __future__ import annotations

import re

from msgspec import Struct

TECHNIQUE = re.compile(r"attack\.(t\d{4})(\.\d{3})?", re.IGNORECASE)
TACTICS = {  # attack.mitre.org/tactics/enterprise
    "reconnaissance": ("TA0043", "Reconnaissance"),
    "resource-development": ("TA0042", "Resource Development"),
    "initial-access": ("TA0001", "Initial Access"),
    "execution": ("TA0002", "Execution"),
    "persistence": ("TA0003", "Persistence"),
    "privilege-escalation": ("TA0004", "Privilege Escalation"),
    "defense-evasion": ("TA0005", "Defense Evasion"),
    "credential-access": ("TA0006", "Credential Access"),
    "discovery": ("TA0007", "Discovery"),
    "lateral-movement": ("TA0008", "Lateral Movement"),
    "collection": ("TA0009", "Collection"),
    "command-and-control": ("TA0011", "Command and Control"),
    "exfiltration": ("TA0010", "Exfiltration"),
    "impact": ("TA0040", "Impact"),
}


class Attack(Struct):
    """`tactics`: id and name. `techniques`: such as T1567; `parts`: their sub-techniques, such as T1213.004."""

    tactics: list[tuple[str, str]]
    techniques: list[str]
    parts: list[str]


def read_attack(tags: list[str]) -> Attack:
    """Other tags are passed over."""
    words = [tag.lower().removeprefix("attack.").replace("_", "-") for tag in tags]
    tactics = [TACTICS[word] for word in words if word in TACTICS]
    found = [match for tag in tags if (match := TECHNIQUE.fullmatch(tag))]
    whole = [match[1].upper() for match in found if not match[2]]
    parts = [f"{match[1]}{match[2]}".upper() for match in found if match[2]]
    return Attack(tactics, whole, parts)
