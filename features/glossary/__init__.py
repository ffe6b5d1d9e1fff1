"""What the events, fields and headers of all messages mean, in the words of docs/events.md.

What a class says of itself stands in its docstring, and is not said again here.
"""

from features.glossary import events, messages
from features.glossary.events import EVENTS
from features.glossary.messages import HEADERS, REASONS
from features.glossary.word import Word

FIELDS = events.FIELDS | messages.FIELDS

__all__ = ["EVENTS", "FIELDS", "HEADERS", "REASONS", "Word"]
