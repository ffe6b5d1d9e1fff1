"""The coupon rules as their files stand now: read again when one has changed, since all of them take half a second."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from msgspec import Struct

from alerts.triggers.campaign import Campaigns
from alerts.triggers.condition import Conditions
from alerts.triggers.gifts import WrongRule
from alerts.triggers.rule import Rule
from board.problems import Problem
from config.reading import WrongSettings
from config.settings import Settings
from features.catalog import Catalog
from features.written import hint
from flows.files import load_catalog
from flows.followed import Stamp, stamp
from flows.rules import load_campaigns, load_conditions, load_rules


class Rules(Struct, frozen=True):
    """Each rule with its file and text, by id."""

    by_id: dict[str, tuple[Rule, str, str]]
    catalog: Catalog
    conditions: Conditions
    campaigns: Campaigns

    def named(self, id: str) -> tuple[Rule, str, str]:
        """Raises Problem."""
        if id not in self.by_id:
            raise Problem(404, f"there is no rule {id!r}{hint(id, self.by_id)}")
        return self.by_id[id]


class Rulebook:
    """`wrong`: why the files cannot be used as they stand; meanwhile the former rules are told: flows use them, too."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        c = settings.coupons
        folders = (c.rules, c.calendars, c.campaigns)
        self.places = [settings.path(folder) for folder in folders if folder]
        self.places += [Path(settings.path(settings.features))]
        self.lock = Lock()
        self.read_at: Stamp = []
        self.kept: Rules | None = None
        self.wrong = ""

    @property
    def rules(self) -> Rules:
        """Raises Problem where files cannot be used, and never could since the board runs."""
        with self.lock:
            now = stamp(self.places)
            if self.kept is None or now != self.read_at:
                self._read()
                self.read_at = now
            if self.kept is None:
                raise Problem(503, self.wrong)
            return self.kept

    def _read(self) -> None:
        try:
            self.kept, self.wrong = read_rules(self.settings), ""
        except (WrongRule, WrongSettings) as wrong:
            self.wrong = f"{wrong}"


def read_rules(settings: Settings) -> Rules:
    """Raises WrongRule, WrongFeatures."""
    loaded, catalog = load_rules(settings), load_catalog(settings)
    conditions = load_conditions(catalog, loaded)
    return Rules({one[0].id: one for one in loaded}, catalog, conditions, load_campaigns(settings, loaded))
