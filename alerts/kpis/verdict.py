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
from alerts.kpis.jump import Ran
from alerts.kpis.panel import QUARTER, QUIET, Panel
from alerts.kpis.screen import LEAST_UNITS, screen
from alerts.kpis.series import ALIVE_MINUTES, AOV, COUNTS, ORDERS, PLACE, SERIES, SHARES, SIDES, TABLE
from alerts.kpis.structure import RAIN
from alerts.kpis.tail import count_p, mean_p, share_p

MOST_ALIVE, LEAST_ALIVE = 0.95, 0.1  # of a dimension's minutes: one that says less is not missed
RUNS = ((ORDERS, "ordered"), (ALIVE_MINUTES, "spoke"))  # series, and the last minute in which something of it came
SHORTEST = 3  # row of the table
REACH = 240  # minutes of what is usual now: more are not held to be missed, so that what lasts is usual in the end
UNTIL_NOW = 10_000  # minutes: as far back as anybody looks

Flags = NDArray[np.bool_]
Sums = NDArray[np.int64]  # windows x counters x dims


class Around(NamedTuple):
    """Rates of the hours before, of and after a minute."""

    before: Rates
    now: Rates
    after: Rates


class Quarters(NamedTuple):
    """Rates of the quarters of an hour before, of and after a minute; the longest jump reaches into three."""

    earlier: Rates
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

    def window(self, place: int) -> tuple[Floats, Floats, Floats]:
        """What was seen, of what, and the expected rate."""
        return self.seen[place], self.of[place], self.mid[place]


class Look(NamedTuple):
    """What a minute showed of a layer; `jumped` and `ran` of roots alone."""

    sums: Sums
    screened: Screened
    found: Verdicts
    jumped: Screened | None = None
    ran: Ran | None = None


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
    rates = (around.before.mean, around.before.mean, around.now.mean, around.after.mean)  # none reaches further back
    still = np.zeros((2, *around.now.mean.shape))
    rest = _rest(panel, minute)
    one = screen(sums, minute, widths, TABLE, *rates, around.now.blur, strays, rain.log, rest, still, 60)
    screened = Screened(*one)
    return Look(sums, screened, _least(panel, minute, around, strays, screened))


def judge_jumps(
    panel: Panel,
    minute: int,
    look: Look,
    quarters: Quarters,
    sums: Sums,
    strays: Floats,
    ran: Ran,
    rain: Rain,
) -> Look:
    """Beside that, the latest minutes against those before them; `sums`, `strays` and `rain` are of the jumps."""
    widths, strays = np.array(panel.jumps), strays + rain.error
    rates = (quarters.earlier.mean, quarters.before.mean, quarters.now.mean, quarters.after.mean)
    blur = quarters.now.blur + ran.error
    rest = _rest(panel, minute)
    whole = np.where(rest >= panel.window, rest, 0)
    shift = ran.shift(quarters.now.mean, quarters.now.blur)
    one = screen(sums, minute, widths, TABLE, *rates, blur, strays, rain.log, whole, shift, QUARTER)
    jumped, tries = Screened(*one), _tries(panel)
    for place, width in enumerate(panel.jumps):
        p = _tails(jumped, place, strays[place] + blur, tries)
        _take_rarer(look.found, jumped._replace(mid=jumped.mean), place, width, p)
    return look._replace(jumped=jumped, ran=ran)


def _rest(panel: Panel, minute: int) -> NDArray[np.int64]:
    """How far back each series may look: to the end of a silence, and of its own last incident."""
    course = panel.course
    own = np.where(course["state"] == QUIET, minute - course["start"], UNTIL_NOW)
    return np.asarray(np.minimum(own, minute - course["back"] + 1))


def _least(panel: Panel, minute: int, around: Around, strays: Floats, screened: Screened) -> Verdicts:
    """The longest window's verdict, where no shorter one's is rarer."""
    tries, last = _tries(panel), len(panel.widths) - 1
    p = [_tails(screened, place, strays[place] + around.now.blur, tries) for place in range(last + 1)]
    verdicts = _of_window(screened, p[last], last, panel.window)
    for place in range(last):
        _take_rarer(verdicts, screened, place, panel.widths[place], p[place])
    for row, (series, last_minute) in enumerate(RUNS):
        run, missed = np.minimum(minute - panel.course[last_minute], UNTIL_NOW), panel.course["missed"][row]
        if series == ALIVE_MINUTES:
            run = np.minimum(run, minute % 60 + 61)  # not as far back as to when a store was closed
            missed = _surprise(missed, run)
        _run(missed, run, strays[-1] + around.now.blur, verdicts, series, int(tries[series]))
    return verdicts


def _take_rarer(verdicts: Verdicts, screened: Screened, place: int, width: int, p: Floats) -> None:
    if not screened.far[place].any():
        return
    take, shorter = p < verdicts.p, _of_window(screened, p, place, width)
    for one, other in zip(verdicts.of_windows, shorter.of_windows, strict=True):
        one[take] = other[take]


def _tries(panel: Panel) -> NDArray[np.int64]:
    """By series, how many p-values it has in a minute: of the windows that say something, and of its absence."""
    windows = (np.array([*panel.widths, *panel.jumps])[:, None] >= TABLE[SHORTEST]).sum(axis=0)
    return np.asarray(windows + np.isin(np.arange(SERIES), [series for series, _ in RUNS]))


def _of_window(screened: Screened, p: Floats, place: int, width: int) -> Verdicts:
    side, window = screened.side[place].copy(), np.full(p.shape, width, np.int16)
    seen, of, mid, sd = (a[place].copy() for a in (screened.seen, screened.of, screened.mid, screened.sd))
    return Verdicts(p, side, seen, of, mid, sd, window, screened.recovers)


def _tails(screened: Screened, place: int, strays: Floats, tries: NDArray[np.int64]) -> Floats:
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
                tail = mean_p((x - n * m) / sd, n)
            p[kind][these] = tail
    p[far] = np.minimum(1.0, p * tries[:, None] * SIDES / 2)[far]
    return p


def miss(panel: Panel, minute: int, around: Around) -> None:
    """Adds a minute to what was missed of orders and of signs of life, where none came."""
    before, now, after = (rates.mean for rates in around)
    least = np.nan_to_num(np.fmin(now, before if minute % 60 < 30 else after))
    for row, (series, last_minute) in enumerate(RUNS):
        missed = np.minimum(panel.course["missed"][row] + least[series], REACH * least[series])
        panel.course["missed"][row] = np.where(panel.course[last_minute] == minute, 0.0, missed)


def _surprise(missed: Floats, run: NDArray[np.int64]) -> Floats:
    """Events whose absence is as unlikely as that of all signs of life that were missed among `run` minutes."""
    share = np.minimum(missed / np.maximum(run, 1), MOST_ALIVE)
    return np.where(share < LEAST_ALIVE, 0.0, -run * np.log1p(-share))


def _run(missed: Floats, run: NDArray[np.int64], strays: Floats, found: Verdicts, series: int, tries: int) -> None:
    """How likely it is that nothing of a series came for so long, where that is the rarest."""
    far = np.flatnonzero(missed >= LEAST_UNITS)
    if not len(far):
        return
    p = tries / 2 * count_p(np.zeros(len(far)), missed[far], strays[series, far])
    take, p = far[p < found.p[series, far]], p[p < found.p[series, far]]
    values = (p, -1, 0.0, run[take], missed[take] / run[take], np.sqrt(missed[take]), run[take])
    for field, value in zip(found.of_windows, values, strict=True):
        field[series, take] = value
    found.recovers[series, take] = False
