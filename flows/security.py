"""security: audit events → Sigma rules, correlations and baselines → findings."""

from __future__ import annotations

from pathlib import Path

from bytewax.dataflow import Dataflow

from alerts.security.job import SecurityJob
from alerts.security.leaks import LeaksJob, RedemptionsJob
from alerts.security.lines.job import LinesJob
from alerts.security.lines.mapping import read_mapping
from alerts.security.lines.reader import Reader
from alerts.security.networks import Networks, read_networks
from config.settings import Settings
from features.identity import Pseudonyms
from flows.files import load_limits, load_stores, text, texts
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
    house.stage(flow, "security-leaks", "exposures", LeaksJob(audit, letters))
    if settings.security.lines:
        readers = load_readers(settings, load_pseudonyms(settings))
        house.stage(flow, "security-lines", "audit.lines", LinesJob(readers, audit, letters))


def load_networks(settings: Settings) -> Networks:
    """Raises WrongNetworks, WrongSettings."""
    if not settings.security.networks:
        return Networks()
    path = settings.path(settings.security.networks)
    return read_networks(text(path).splitlines(), str(path))


def load_readers(settings: Settings, pseudonyms: Pseudonyms) -> dict[str, Reader]:
    """How the lines of each source are read, by the name of its mapping file. Raises WrongMapping, WrongSettings."""
    files = texts(settings.path(settings.security.lines), "*.toml")
    return {Path(file).stem: Reader(read_mapping(written, file), pseudonyms) for file, written in files}


def flow() -> Dataflow:
    return open_house("security", add)
