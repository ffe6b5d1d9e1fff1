"""The desk: alerts and people's words in, notices out; what fires, who knows, what is held and silenced.

Every notice depends on the state and on what came in alone, so what is told again after a crash bears the same id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct, field

from alerts.notices.alert import Alert
from alerts.notices.pace import Pace, Throttle, over, pace_key
from alerts.notices.silence import Silence, labels_of
from alerts.notices.standing import Standing
from features.outgoing import AlertWord, Notice

QUIET = "nothing more was seen of it"
SETTLING_MS = 60_000  # from the first start; what still fires then is no history
MOST_UNHEARD = 10_000


class Terms(Struct, frozen=True):
    """`open_ms`: after so long without another alert, what does not end by itself counts as over."""

    throttle: Throttle
    open_ms: int
    kept_ms: int  # how long what is over is still listed


class State(Struct):
    """All that the desk knows; each by its key."""

    book: dict[str, Standing] = field(default_factory=dict)
    paces: dict[str, Pace] = field(default_factory=dict)
    silences: dict[str, Silence] = field(default_factory=dict)
    unheard: dict[str, list[AlertWord]] = field(default_factory=dict)  # words that came before what they are about


Part = Literal["book", "paces", "silences", "unheard"]


class Desk:
    """`touched`: what has changed in each part since `clear`; `notices`: what is to be told of it.

    `since_ms`: when it started for the first time. What is older is history: it is listed, and not told.
    """

    def __init__(self, terms: Terms, state: State, since_ms: int = 0) -> None:
        self.terms = terms
        self.state = state
        self.since_ms = since_ms
        self.touched: set[tuple[Part, str]] = set()
        self.notices: list[Notice] = []

    def clear(self) -> None:
        self.touched, self.notices = set(), []

    def take(self, alert: Alert, stamp_ms: int) -> None:
        """An alert, with its Kafka timestamp. One that came before is passed over."""
        standing = self.state.book.get(alert.key)
        if standing is not None and alert.id in standing.known:
            return
        self._touch("book", alert.key)
        if standing is None or (alert.state == "firing" and standing.reopens(stamp_ms)):
            standing = Standing(alert, stamp_ms, stamp_ms, known=[alert.id])
            self.state.book[alert.key] = standing
        else:
            standing.again(alert, stamp_ms)
        if alert.state == "firing":
            if standing.firing:
                self._tell(standing, stamp_ms)
        elif standing.firing:
            self._end(standing, "resolved", stamp_ms)
        self._hear_late(alert.key, stamp_ms)

    def _tell(self, standing: Standing, stamp_ms: int) -> None:
        standing.silenced = self._silence(standing.alert, stamp_ms)
        if stamp_ms < self.since_ms:
            return
        if standing.silenced:
            standing.missed += 1
            return
        if not self._admits(standing.alert, stamp_ms):
            standing.held += 1
            return
        self.notices.append(standing.tell("updated" if standing.told else "opened", standing.alert.at_ms))

    def _silence(self, alert: Alert, now_ms: int) -> str:
        """Id of a silence that covers it now; empty when there is none."""
        labels = labels_of(alert)
        live = (one for one in self.state.silences.values() if one.at_ms <= now_ms < one.until_ms)
        return next((one.id for one in live if one.covers(labels)), "")

    def _admits(self, alert: Alert, stamp_ms: int) -> bool:
        key, throttle = pace_key(alert), self.terms.throttle
        pace = self.state.paces.get(key)
        if pace is not None and stamp_ms >= pace.opened_ms + throttle.window_ms:
            self._sum_up(key)
            pace = None
        if pace is None:
            pace = self.state.paces[key] = Pace(alert, stamp_ms)
        self._touch("paces", key)
        return pace.admits(alert, throttle)

    def _sum_up(self, key: str) -> None:
        pace = self.state.paces.pop(key)
        self._touch("paces", key)
        if pace.held:
            self.notices.append(pace.summary(self.terms.throttle))

    def _end(self, standing: Standing, state: Literal["resolved", "closed"], at_ms: int, by: str = "") -> None:
        """Receivers hear the end of what they know, be it silenced meanwhile."""
        standing.state, standing.ended_ms, standing.ended_by = state, at_ms, by
        if standing.told:
            self.notices.append(standing.notice(state, at_ms, by, standing.reason))

    def hear(self, word: AlertWord) -> None:
        """What a person says. Of what does not fire it is kept: its alert may be still to be read. What began after
        somebody closed what was before it goes on."""
        if word.word == "silenced":
            self._hush(Silence(word.about, word.matchers, word.by, word.reason, word.at_ms, word.until_ms))
        elif word.word == "unsilenced":
            self._unhush(word)
        elif (standing := self.state.book.get(word.about)) is None or not standing.firing:
            self._keep(word)
        elif word.word != "closed" or word.at_ms >= standing.opened_ms:
            self._apply(standing, word)

    def _apply(self, standing: Standing, word: AlertWord) -> None:
        self._touch("book", word.about)
        standing.reason = word.reason
        if word.word == "closed":
            self._close(standing, word)
        else:
            self._acknowledge(standing, word)

    def _close(self, standing: Standing, word: AlertWord) -> None:
        """An alert that came after the word begins the matter anew, also where it was read before it."""
        self._end(standing, "closed", word.at_ms, word.by)
        if standing.reopens(heard_ms := standing.heard_ms):
            anew = Standing(standing.alert, heard_ms, heard_ms, known=standing.known)
            self.state.book[word.about] = anew
            self._tell(anew, heard_ms)

    def _acknowledge(self, standing: Standing, word: AlertWord) -> None:
        standing.acknowledged_by, standing.acknowledged_ms = word.by, word.at_ms
        if standing.told:
            self.notices.append(standing.tell("acknowledged", word.at_ms, word.by, word.reason))

    def _keep(self, word: AlertWord) -> None:
        """The latest of each kind; beyond the most there may be, the earliest gives way."""
        unheard = self.state.unheard
        kept = [one for one in unheard.get(word.about, []) if one.word != word.word]
        unheard[word.about] = [*kept, word]
        self._touch("unheard", word.about)
        if len(unheard) > MOST_UNHEARD:
            first = min(unheard, key=lambda about: (unheard[about][-1].at_ms, about))
            del unheard[first]
            self._touch("unheard", first)

    def _hear_late(self, key: str, stamp_ms: int) -> None:
        """Words that were read before the alert, and said after it. They stay for others that are older than they."""
        if (words := self.state.unheard.pop(key, None)) is None:
            return
        self._touch("unheard", key)
        later = [word for word in words if word.at_ms >= stamp_ms]
        if later:
            self.state.unheard[key] = later
        for word in sorted(later, key=lambda word: word.at_ms):
            if (standing := self.state.book[key]).firing:
                self._apply(standing, word)

    def _hush(self, silence: Silence) -> None:
        """Also what fires already is marked: it is not sent again."""
        self.state.silences[silence.id] = silence
        self._touch("silences", silence.id)
        for key, standing in self.state.book.items():
            if standing.firing and not standing.silenced and silence.covers(labels_of(standing.alert)):
                standing.silenced = silence.id
                self._touch("book", key)

    def _unhush(self, word: AlertWord) -> None:
        if (silence := self.state.silences.get(word.about)) is not None and word.at_ms < silence.until_ms:
            silence.until_ms, silence.ended_by = word.at_ms, word.by
            self._touch("silences", silence.id)

    def sweep(self, now_ms: int) -> None:
        """What time alone brings about."""
        for key in over(self.state.paces, self.terms.throttle, now_ms):
            self._sum_up(key)
        for key, standing in self.state.book.items():
            if standing.firing:
                self._look_again(key, standing, now_ms)
        self._drop("book", self.state.book, lambda one: not one.firing and self._is_past(one.ended_ms, now_ms))
        self._drop("silences", self.state.silences, lambda one: self._is_past(one.until_ms, now_ms))

    def _look_again(self, key: str, standing: Standing, now_ms: int) -> None:
        """A silence may have ended or be younger than it, history go on, or nothing more been seen of it for long."""
        if standing.silenced and not self._is_hushed(standing, now_ms):
            self._touch("book", key)
            if standing.missed if standing.told else standing.alert.ends:
                self._tell(standing, now_ms)
            else:
                standing.silenced = self._silence(standing.alert, now_ms)
        elif not standing.silenced and (covering := self._silence(standing.alert, now_ms)):
            self._touch("book", key)
            standing.silenced = covering
        elif self._outlasts_history(standing, now_ms):
            self._touch("book", key)
            self._tell(standing, now_ms)
        if not standing.alert.ends and now_ms >= standing.heard_ms + self.terms.open_ms:
            self._touch("book", key)
            standing.reason = standing.reason or QUIET
            self._end(standing, "resolved", standing.heard_ms + self.terms.open_ms)

    def _outlasts_history(self, standing: Standing, now_ms: int) -> bool:
        """It was listed only, and fires still now that all is read."""
        untold = not (standing.told or standing.held or standing.silenced)
        old = standing.heard_ms < self.since_ms and now_ms >= self.since_ms + SETTLING_MS
        return old and untold and standing.alert.ends

    def _is_hushed(self, standing: Standing, now_ms: int) -> bool:
        silence = self.state.silences.get(standing.silenced)
        return silence is not None and now_ms < silence.until_ms

    def _is_past(self, ended_ms: int, now_ms: int) -> bool:
        return now_ms >= ended_ms + self.terms.kept_ms

    def _drop(self, part: Part, kept: dict[str, Standing] | dict[str, Silence], gone: Callable[..., bool]) -> None:
        for key in [key for key, one in kept.items() if gone(one)]:
            del kept[key]
            self._touch(part, key)

    def _touch(self, part: Part, key: str) -> None:
        self.touched.add((part, key))
