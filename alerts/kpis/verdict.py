"""All series of a layer in one minute: what was seen in the latest windows, what was expected, and how rare that is.

One p-value a series and minute: the least of its windows', times their number; for orders and for anything at all, how
long there was none is one more. `screen.py` finds what is far out; exact tails are computed for that alone, all else
has p = 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerts.kpis.expectation import Floats, Rates
from alerts.kpis.panel import QUIET, Panel
from alerts.kpis.screen import LEAST_UNITS, run_expected, screen
from alerts.kpis.series import ALIVE_MINUTES, AOV, COUNTS, ORDERS, PLACE, SHARES, TABLE
from alerts.kpis.structure import RAIN
from alerts.kpis.tail import count_p, mean_p, share_p

MOST_ALIVE, LEAST_ALIVE = 0.95, 0.1  # of a dimension's minutes: one that says less is not missed
UNTIL_NOW = 10_000  # minutes: as far back as anybody looks

Flags = NDArray[np.bool_]
Sums = NDArray[np.int64]  # windows x counters x dims


class Around(NamedTuple):
    """Rates of the hours before, of and after a minute."""

    before: Rates
    now: Rates
    after: Rates


class Verdicts(NamedTuple):
    """[SERIES, dims] each, of the window that is the least likely; `of`: minutes, trials or orders in it."""

    p: Floats
    side: NDArray[np.int8]  # -1 low, 1 high
    seen: Floats
    of: Floats
    mean: Floats  # expected of one of `of`
    sd: Floats  # of `seen`
    window: NDArray[np.int16]
    recovers: Flags  # the short windows are as usual

    @property
    def of_windows(self) -> tuple[NDArray[Any], ...]:
        return self.p, self.side, self.seen, self.of, self.mean, self.sd, self.window


class Screened(NamedTuple):
    """Of all windows, [windows, SERIES, dims]; as `screen.screen` returns them."""

    seen: Floats
    of: Floats
    mid: Floats
    mean: Floats
    sd: Floats
    side: NDArray[np.int8]
    far: Flags
    recovers: Flags


class Look(NamedTuple):
    """What a minute showed of a layer."""

    sums: Sums
    screened: Screened
    found: Verdicts


class Rain(NamedTuple):
    """What it does in each window beyond what the rates hold already, and the squared error of that."""

    log: Floats
    error: Floats


def rain_now(roots: Panel, sums: Sums) -> Rain:
    """Of the roots, by the share of a window's orders that were told of rain, [windows, SERIES, dims]."""
    orders, before = sums[:, PLACE["orders"]], roots.course["wet"]
    share = np.clip(sums[:, PLACE["wet_orders"]] / np.maximum(orders, 1), 0, 1)
    more = np.where(orders > 0, share - before, 0.0)[:, None]
    return Rain(roots.learned["mean"][..., RAIN] * more, roots.learned["cov"][..., RAIN, RAIN] * more**2)


def judge(panel: Panel, minute: int, around: Around, strays: Floats, sums: Sums, rain: Rain) -> Look:
    widths, strays = np.array(panel.widths), strays + rain.error
    rates = (around.before.mean, around.now.mean, around.after.mean, around.now.blur)
    screened = Screened(*screen(sums, minute, widths, TABLE, *rates, strays, rain.log, _rest(panel, minute)))
    return Look(sums, screened, _least(panel, minute, around, strays, screened))


def _rest(panel: Panel, minute: int) -> NDArray[np.int64]:
    """How far back each series may look: to the end of a silence, and of its own last incident."""
    course = panel.course
    own = np.where(course["state"] == QUIET, minute - course["start"], UNTIL_NOW)
    return np.asarray(np.minimum(own, minute - course["back"] + 1))


def _least(panel: Panel, minute: int, around: Around, strays: Floats, screened: Screened) -> Verdicts:
    """The longest window's verdict, where no shorter one's is rarer."""
    tries, last = len(panel.widths) + 1, len(panel.widths) - 1
    p = [_tails(screened, place, strays[place] + around.now.blur, tries) for place in range(last + 1)]
    verdicts = _of_window(screened, p[last], last, panel.window)
    for place in range(last):
        if screened.far[place].any():
            take, shorter = p[place] < verdicts.p, _of_window(screened, p[place], place, panel.widths[place])
            for one, other in zip(verdicts.of_windows, shorter.of_windows, strict=True):
                one[take] = other[take]
    for series, last_minute in ((ORDERS, "ordered"), (ALIVE_MINUTES, "spoke")):
        _run(panel, minute, around, strays[-1], verdicts, series, panel.course[last_minute], tries)
    return verdicts


def _of_window(screened: Screened, p: Floats, place: int, width: int) -> Verdicts:
    side, window = screened.side[place].copy(), np.full(p.shape, width, np.int16)
    seen, of, mid, sd = (a[place].copy() for a in (screened.seen, screened.of, screened.mid, screened.sd))
    return Verdicts(p, side, seen, of, mid, sd, window, screened.recovers)


def _tails(screened: Screened, place: int, strays: Floats, tries: int) -> Floats:
    """p-values of one window's series, 1 where they are not far out."""
    p, far = np.ones(strays.shape), screened.far[place]
    if not far.any():
        return p
    for kind in (COUNTS, SHARES, slice(AOV, AOV + 1)):
        these = far[kind]
        if these.any():
            arrays = (screened.seen, screened.of, screened.mean, screened.sd)
            x, n, m, sd = (array[place][kind][these] for array in arrays)
            if kind == COUNTS:
                tail = count_p(x, n * m, strays[kind][these])
            elif kind == SHARES:
                tail = share_p(x, n, m, strays[kind][these])
            else:
                tail = mean_p((x - n * m) / sd)
            p[kind][these] = np.minimum(1.0, tries * tail)
    return p


def _run(
    panel: Panel, minute: int, around: Around, strays: Floats, found: Verdicts, series: int, last: Sums, tries: int
) -> None:
    """How likely it is that nothing of a series came for so long, where that is the rarest."""
    run = np.clip(minute - last, 0, minute % 60 + 61)
    before, now, after = (rates.mean[series] for rates in around)
    expected = run_expected(before, now, after, minute, run)
    if series == ALIVE_MINUTES:
        expected = _missed(expected, run)
    far = np.flatnonzero(expected >= LEAST_UNITS)
    if not len(far):
        return
    p = tries * count_p(np.zeros(len(far)), expected[far], (strays + around.now.blur)[series, far])
    take, p = far[p < found.p[series, far]], p[p < found.p[series, far]]
    mean = expected[take] / run[take]
    values = (p, -1, 0.0, run[take], mean, np.sqrt(expected[take]), run[take])
    for field, value in zip(found.of_windows, values, strict=True):
        field[series, take] = value
    found.recovers[series, take] = False


def _missed(expected: Floats, run: NDArray[np.int64]) -> Floats:
    """Events whose absence is as unlikely as that of all `expected` among `run` minutes."""
    share = np.minimum(expected / np.maximum(run, 1), MOST_ALIVE)
    return np.where(share < LEAST_ALIVE, 0.0, -run * np.log1p(-share))
