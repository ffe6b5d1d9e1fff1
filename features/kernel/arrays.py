"""The arrays of the compiled core: their types, and the constants that name their columns.

All that is known of something is one array of int64, because a compiled function pays for every array it is handed: a
customer's state `s`, the program `g` (what catalog, rules and label ask for), the events `e`, the time zones `z`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from features.times import DAY_MS, MINUTE_MS

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Labels = Any  # (inputs, labelled), to be filled
Lines = Any  # (values and ends of the fields of lines, by object its first line and how many it has)

VERSION = 6  # of a record
BEFORE_PACKED = 5  # its rows and tables took all of their bytes
BEFORE_LATER = 4  # had no rows of later moments
BEFORE_FLOATS = 3  # its row that waited is not read any more
READABLE = (VERSION, BEFORE_PACKED, BEFORE_LATER, BEFORE_FLOATS)
FIVE_MS = 5 * MINUTE_MS
LATE_MS = DAY_MS  # an event that is later than others by no more than this still finds the short panes of its own time
# what a record holds at the most
RING, CASES, PURPOSES, TIMERS, PANES, CELLS_OF_PANE, TABLES_OF_RECORD = 64, 64, 32, 64, 512, 62, 64

LIFETIME, FIVES, HOURS, DAYS = 0, 1, 2, 3  # what a window is made of
SUM_OF, MOST_OF, MEAN_OF, DISTINCT_OF = 0, 1, 2, 3  # how a window's cells become a feature
# what a table keeps of (code, value) pairs, and how many
LATEST, DECAYED, WEIGHTS, PLACES, TIMES, MONTHS = 0, 1, 2, 3, 4, 5
ROOM_OF = (1, 1, 16, 62, 16, 62)
VALUE, WEIGHT, FAVOURITE, SHARE, SPREAD, BALANCE, EXPIRING, EARNED, KEPT = range(9)  # what is read from one
DONE, NEEDS_ZONE, NEEDS_ROOM, CORRUPT, WRONG_LAYOUT = 0, 1, 2, 3, 4  # how a call ends

# the program: numbers, then where its lists start
(
    WIDTH,  # cells of a pane: sums, then the greatest, then the least (both plus 1; 0 is none), then sets of places
    SUMS,  # where the sums end
    GREATEST,
    LEAST,
    TABLES,
    KINDS,
    INPUTS,  # of the models that are learned
    WINDOWS,
    LAYOUTS,
    COLUMNS,  # that are read from windows
    READS,  # those read from tables
    RECENCIES,
    RATIOS,
    BANDS,
    SEGMENTS,
    KEPT_DAYS,
    HORIZONS,  # after which a row gets a label
    SPEND_MS,  # how far ahead spend is counted; 0: it is not
    SPEND,  # the cell that counts it; -1: none
    PURPOSE,  # whose consent is told with each row
    QUIET_FROM,  # quiet hours: ms of the day
    QUIET_MS,  # how long; 0: none
    HELD,  # rules that do not look in them
    YEARLY,  # rules that look again every year
    DATED,  # rules that look at dates
    ORDERS,  # the measure
    POINT_CENTS,  # that earn a point
    ORDER,  # kinds that mean more than their measures
    VOID,
    COMPLAINT,
    ANSWERED,
    CONFIRMED,
    CONSENT,
    REFERRED,
    TABLE_AT,  # where in a state its tables start; then the lifetime, the rows that wait, the panes' cells, the sums
    LIFE,
    WAITING,  # for the next order; two float32 in a number
    SPENDING,  # for what is spent
    AFTERWARDS,  # the row of a later moment, for the next order
    CELLS,
    TOTALS,
    STATE,
    AT_LAYOUT,  # the own one, then earlier ones: id, cells, tables, where their new places start, same inputs
    AT_TABLE,  # pairs: what it keeps, half-life in ms or cell
    AT_WINDOW,  # what it is made of, how many of that, where its cells stand; of a kind, the shortest first
    AT_COLUMN,  # triples: how, total, total it is divided by
    AT_READ,  # triples: what, table, argument
    AT_RECENCY,  # pairs: kind, unit in ms
    AT_RATIO,  # pairs: columns
    AT_BAND,  # column, cuts, 1 where less is better, where the cuts start
    AT_SEGMENT,  # by feature: segments, where their conditions start
    AT_HELD,
    AT_YEARLY,
    AT_DATED,  # triples: rule, where its dates start (wall clock, as if it were UTC, in ms; in order), how many
    AT_INPUT,  # columns
    AT_HORIZON,  # pairs: length, what that is
    AT_KIND,  # by kind: deal, wanted, where its effects start, how many, where its waits start, how many
    PROGRAM,
) = range(58)
OF_LAYOUT, OF_KIND, OF_WINDOW = 5, 6, 3

# an event; its amounts by cell follow
KIND, AT, ZONE, ID, ORDERED, WORD, FLAG, CLOCK, TOUCHED, TOUCHES, AMOUNTS = range(11)
UNTIL = ORDERED  # of an event that undoes nothing: the moment that it names
# a wait: rule, its length, and what that is: ms from the event, thousandths of the rhythm, ms from the moment it names
A_WHILE, RHYTHM, NAMED = range(3)
OF_WAIT = 3
BIRTHDAY = 0  # no rule: a timer that nobody asks about, by which a record remembers the day
# what an event does to a table; an event's stand from TOUCHED on, TOUCHES of them
TABLE_OF, CODE, AMOUNT, MOMENT, TOUCH = range(5)

# a customer's state: numbers, then lists of fixed length, then those whose length the program gives
(
    N_DEALS,
    N_SEEN,
    N_CASES,
    N_PURPOSES,
    N_TIMERS,
    N_PANES,
    HOME,  # time zone
    WAKE,
    FIRST,
    SPEND_AT,  # the order whose row waits for what is spent after it; 0: none
    SPEND_END,  # until when that counts
    SPEND_DUE,
    SPEND_CENTS,
    LATER_FROM,  # the order after which a later moment was chosen
    LATER_KEPT,  # 1: its row is kept; 0: it has not come, or nothing has happened since
    NEWEST,
    WAIT,  # the row of an order, as below
) = range(17)
# a row that waits for the next order: as of when (0: there is none), when its label is told, up to which horizon it was
# told, how long until the next order (0: none yet), the customer's rhythm then (ms; 0: none)
ROW_AT, ROW_DUE, ROW_TOLD, ROW_GAP, ROW_RHYTHM, ROW = range(6)
LATER = WAIT + ROW  # the row of a later moment
DEALS = 32
SEEN = DEALS + RING
CASE = SEEN + RING
PURPOSE_OF = CASE + CASES  # triples: purpose, at, granted
TIMER = PURPOSE_OF + 3 * PURPOSES  # triples: rule, due, grace
PANE = TIMER + 3 * TIMERS  # triples: level, number, day
LAST = PANE + 3 * PANES  # by kind; then what the program says
# a table: how many pairs, as of when they are weighed, the pairs (code, value)
PAIRS = 2
TABLE = PAIRS + 2 * max(ROOM_OF)

# an asked row: whose, which event (-1: a timer), which rule, as of, fires at, local time, consent
WHO, EVENT, RULE, AS_OF, FIRES, LOCAL, CONSENTED, ASKED = range(8)
# a labelled row: whose, scored at, known at, what is told (GAP: ms to the next order, at most; SPENT: cents), how much,
# of which horizons (longer than the one, and no longer than the other); then the row's horizons in ms, 0 for none
SCORED, KNOWN, TOLD, LABEL, ABOVE, UP_TO, LABELLED = range(1, 8)
GAP, SPENT = range(2)
ALL_HORIZONS = 2**62
LEAST_RHYTHM_MS, MOST_RHYTHM_MS = DAY_MS, 180 * DAY_MS  # between these lies a horizon that is counted in rhythms
