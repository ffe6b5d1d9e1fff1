"""security: audit events → Sigma rules, correlations and baselines → findings."""

from __future__ import annotations

from pathlib import Path

from bytewax.dataflow import Dataflow

from alerts.security.groups import GroupsJob
from alerts.security.job import SecurityJob
from alerts.security.leaks import LeaksJob, RedemptionsJob
from alerts.security.lines.job import LinesJob
from alerts.security.lines.mapping import read_mapping
from alerts.security.lines.reader import Reader
from alerts.security.networks import Networks, read_networks
from alerts.security.ways import Ways
from config.settings import Settings
from features.identity import Pseudonyms
from features.partitions import partition_keys
from flows.files import load_limits, load_stores, text, texts
from flows.followed import Followed
from flows.guards import take_up
from flows.house import House
from flows.keys import load_pseudonyms
from flows.opening import open_house


def add(flow: Dataflow, house: House) -> None:
    settings, to = house.settings, ways(house)
    hours, rules = settings.security.retention_hours, house.answered(lambda: take_up(house))
    live, networks = settings.time.clock == "wall", load_networks(settings)
    job = SecurityJob(rules, load_stores(settings), load_limits(settings), hours, to, live, networks)
    groups = GroupsJob(rules, hours, to)
    followed = Followed("security rules", [settings.path(settings.security.rules)])

    def reload() -> int:
        rules = take_up(house)
        job.follow(rules)
        groups.follow(rules)
        return len(rules.heads)

    house.stage(flow, "security", "audit.events", job, refresh=lambda: followed.follow(reload))
    house.stage(flow, "security-groups", "audit.matches", groups)
    house.stage(flow, "security-redemptions", "events", RedemptionsJob(to.exposures))
    house.stage(flow, "security-leaks", "exposures", LeaksJob(to.audit, to.dead_letters))
    if settings.security.lines:
        readers = load_readers(settings, load_pseudonyms(settings))
        house.stage(flow, "security-lines", "audit.lines", LinesJob(readers, to.audit, to.dead_letters))


def ways(house: House) -> Ways:
    names = ("alerts", "dead-letters", "audit.events", "exposures", "audit.matches")
    keys = (tuple(partition_keys(house.partitions[topic])) for topic in ("audit.events", "audit.matches"))
    return Ways(*map(house.topic, names), *keys)


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
