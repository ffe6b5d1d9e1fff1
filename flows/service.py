"""service: clean events about cases → tickets with clocks → what was promised and kept, warned of or broken."""

from __future__ import annotations

from bytewax.dataflow import Dataflow

from alerts.service.cases import Cases
from alerts.service.desk import Desk
from alerts.service.telling import Topics
from features.forgotten import Forgotten
from features.partitions import partition_keys
from flows.files import load_promises
from flows.followed import Followed
from flows.house import House
from flows.opening import open_house
from operators.tombstones import withhold


class Promised:
    """Both jobs under the promises as their file stands; a file that is wrong changes nothing, and is told."""

    def __init__(self, house: House) -> None:
        self.settings, self.forgotten = house.settings, Forgotten(house.tombstones.told())
        self.followed = Followed("promises", [house.settings.path(house.settings.service.promises)])
        promises, letters = load_promises(house.settings), house.topic("dead-letters")
        cases, counts = house.topic("service.cases"), house.partitions
        ways = (partition_keys(counts["service.cases"]), counts["events"], promises, self.forgotten)
        self.cases = Cases(cases, letters, *ways)
        topics = Topics(house.topic("tickets"), house.topic("alerts"), house.topic("events"), letters)
        self.desk = Desk(topics, promises, self.forgotten)

    def refresh(self) -> None:
        """Before a batch of either."""
        self.followed.follow(self._reload)

    def _reload(self) -> int:
        self.cases.promises = self.desk.promises = load_promises(self.settings)
        return len(self.desk.promises.promise)


def add(flow: Dataflow, house: House) -> None:
    promised = Promised(house)
    house.stage(flow, "service", "events", promised.cases, promised.refresh)
    house.stage(
        flow, "service-desk", "service.cases", promised.desk, promised.refresh, only=withhold(promised.forgotten)
    )


def flow() -> Dataflow:
    return open_house("service", add)
