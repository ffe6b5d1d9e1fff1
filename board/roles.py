"""Writes the table of calls by role into docs/board.md: `python -m board.roles`."""

from __future__ import annotations

from pathlib import Path

from board.access.person import ROLES
from board.app import API, ENDPOINTS, FEEDS
from board.pages import PAGES

PAGE = Path(__file__).parent.parent / "docs/board.md"
BEGIN, END = "<!-- roles -->\n", "<!-- end of roles -->\n"


def table() -> str:
    heads = ["", *ROLES]
    rows = [(f"`{e.method} {API}{e.path}`" + (" †" if e.personal else ""), e.roles) for e in ENDPOINTS]
    rows += [(f"feed `{feed.name}`", feed.roles) for feed in FEEDS]
    rows += [(f"page `{page.paths[0]}`", page.roles) for page in PAGES]
    lines = [heads, ["---"] * len(heads)]
    lines += [[name, *("yes" if role in roles else "" for role in ROLES)] for name, roles in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n† asks for a purpose.\n"


def written(text: str) -> str:
    """The page with the table as it is now."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
