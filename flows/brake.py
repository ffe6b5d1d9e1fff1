"""brake: alerts and people who ask → campaigns paused at places, told to every partition of the clean topic."""

from __future__ import annotations

from bytewax.dataflow import Dataflow

from alerts.triggers.braking import AlarmWatch, BrakeDesk, BrakeTopics
from config.settings import Settings
from features.partitions import partition_keys
from flows.followed import Followed
from flows.house import House
from flows.rules import load_campaigns, load_rules


def add(flow: Dataflow, house: House) -> None:
    """Two stages of the kpis flow."""
    settings, topic = house.settings, house.topic
    watch = AlarmWatch(topic("brake.asked"), topic("dead-letters"), with_brake(settings))
    folders = [settings.coupons.rules, settings.coupons.campaigns]
    followed = Followed("campaigns with a brake", [settings.path(folder) for folder in folders if folder])

    def reread() -> int:
        watch.campaigns = with_brake(settings)
        return len(watch.campaigns)

    house.stage(flow, "brake-watch", "alerts", watch, lambda: followed.follow(reread))
    desk = BrakeDesk(
        BrakeTopics(topic("events"), topic("brakes"), topic("dead-letters")), partition_keys(house.partitions["events"])
    )
    house.stage(flow, "brake", "brake.asked", desk)


def with_brake(settings: Settings) -> list[str]:
    """Campaigns whose file says so. Raises WrongRule, WrongSettings."""
    return sorted(id for id, c in load_campaigns(settings, load_rules(settings)).by_id.items() if c.brake)
