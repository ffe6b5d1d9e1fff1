"""security: audit events → Sigma rules, correlations and baselines → findings."""

from __future__ import annotations

from bytewax.dataflow import Dataflow

from alerts.security.job import SecurityJob
from alerts.security.leaks import LeaksJob, RedemptionsJob
from alerts.security.lines.job import LinesJob
from flows.files import load_limits, load_networks, load_readers, load_stores
from flows.followed import Followed
from flows.house import House
from flows.keys import load_pseudonyms
from flows.opening import open_house
from flows.rules import load_security_rules


def add(flow: Dataflow, house: House) -> None:
    settings, letters = house.settings, house.topic("dead-letters")
    audit, exposed = house.topic("audit.events"), house.topic("exposures")
    job = SecurityJob(
        load_security_rules(settings),
        load_stores(settings),
        load_limits(settings),
        settings.security.retention_hours,
        house.topic("alerts"),
        letters,
        stamps_tick=settings.time.clock == "wall",
        networks=load_networks(settings),
        told_topic=audit,
        exposures_topic=exposed,
    )
    followed = Followed("security rules", [settings.path(settings.security.rules)])

    def reload() -> int:
        rules = load_security_rules(settings)
        job.follow(rules)
        return len(rules.heads)

    house.stage(flow, "security", "audit.events", job, refresh=lambda: followed.follow(reload))
    house.stage(flow, "security-redemptions", "events", RedemptionsJob(exposed))
    house.stage(flow, "security-leaks", "exposures", LeaksJob(audit))
    if settings.security.lines:
        readers = load_readers(settings, load_pseudonyms(settings))
        house.stage(flow, "security-lines", "audit.lines", LinesJob(readers, audit, letters))


def flow() -> Dataflow:
    return open_house("security", add)
