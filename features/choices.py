"""What was chosen on an order line: texts of a menu. A note to the kitchen may be about anybody, and is not kept."""

from __future__ import annotations

import re

from features.events import Line

LONGEST = 64
MANY_DIGITS = 7  # the fewest of a phone or card number
OTHER = "other"
has_many_digits = re.compile(rf"\d(?:\D*\d){{{MANY_DIGITS - 1}}}").search


def leave_notes_out(lines: list[Line]) -> int:
    """Puts OTHER in the place of each note among the options; how many there were."""
    notes = 0
    for line in lines:
        for name, text in [*line.options.items()]:
            if _is_note(name):
                del line.options[name]
                line.options[OTHER] = OTHER
            elif _is_note(text):
                line.options[name] = OTHER
            else:
                continue
            notes += 1
    return notes


def _is_note(text: str) -> bool:
    return len(text) > LONGEST or has_many_digits(text) is not None
