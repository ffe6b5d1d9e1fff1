"""CDNOW: every purchase of the customers who first bought at an online record shop early in 1997 (docs/data.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, time
from heapq import merge
from operator import itemgetter
from pathlib import Path

from brewline.histories.history import History, Record, consent, local_time_ms, package_folder, record_of
from features.events import Line, Order, Who

NAME = "cdnow"
TIMEZONE = "America/New_York"


def read_cdnow(file: Path | None = None) -> History:
    """The history in `file`, or in the installed package `Lifetimes`. Raises WrongHistory."""
    file = file or package_folder("lifetimes", NAME) / "datasets" / "CDNOW_master.txt"
    rows = [line.split() for line in file.read_text("ascii").splitlines()[1:]]  # customer, yyyymmdd, discs, dollars
    rows.sort(key=itemgetter(1))  # the file is sorted by customer
    firsts: dict[str, str] = {}  # customer → day of the first purchase
    for customer, day, *_ in rows:
        firsts.setdefault(customer, day)

    def events() -> Iterator[Record]:
        return merge(_consents(firsts), _orders(rows), key=lambda record: record.at_ms)

    return History(NAME, TIMEZONE, len(rows) + len(firsts), len(rows), events)


def _consents(firsts: dict[str, str]) -> Iterator[Record]:
    for customer, day in firsts.items():
        card = f"cdnow-{customer}"
        yield consent(f"{card}-consent", card, _noon_ms(day), TIMEZONE)


def _orders(rows: list[list[str]]) -> Iterator[Record]:
    noon_ms: dict[str, int] = {}
    bought: Counter[tuple[str, str]] = Counter()
    for customer, day, discs, dollars in rows:
        at_ms = noon_ms.get(day) or noon_ms.setdefault(day, _noon_ms(day))
        bought[customer, day] += 1
        card, qty, total_cents = f"cdnow-{customer}", int(discs), round(float(dollars) * 100)
        order = Order(
            id=f"{card}-{day}-{bought[customer, day]}",
            time=at_ms,
            who=Who(card=card),
            store=NAME,
            channel="web",
            tz=TIMEZONE,
            lines=[Line(sku="cd", qty=qty, price_cents=round(total_cents / qty), category="music")],
            total_cents=total_cents,
            currency="USD",
        )
        yield record_of(order, at_ms, card)


def _noon_ms(day: str) -> int:
    date = datetime.strptime(day, "%Y%m%d").date()  # noqa: DTZ007 - a date only
    return local_time_ms(date, time(12), TIMEZONE)
