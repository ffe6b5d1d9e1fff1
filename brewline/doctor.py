"""Checks what Brewline needs, and says how to mend what is missing."""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timezone
from functools import partial
from itertools import chain
from urllib.parse import urlsplit

from rich.console import Console
from rich.markup import escape

from alerts.notices.sink import OverHttp, Syslog
from alerts.security.rule_tests import load_tested
from alerts.triggers.rule import Rule
from brewline.foreseen import FORESEEN, line_of
from brewline.servers_checked import SERVER_CHECKS, Advice, Ailing
from config.settings import Settings
from flows.abuse import load_signals
from flows.files import load_catalog, load_promises, load_stores
from flows.gateways import load_gateways
from flows.guards import security_texts
from flows.keys import load_codes, load_pseudonyms
from flows.rules import load_campaigns, load_conditions, load_rules
from flows.sinks import load_sinks, load_targets
from operators.sinks import Target

CONNECT_S = 3.0


def examine(settings: Settings, out: Console) -> int:
    """Runs every check and prints its finding; the exit code, 1 when any failed."""
    files: dict[str, Callable[[Settings], str]] = {
        "features": lambda s: f"{len(load_catalog(s).names)} features",
        "coupon rules": _rules,
        "holidays": lambda s: _holidays([rule for rule, _, _ in load_rules(s)], datetime.now(timezone.utc).date()),
        "security rules": _security_rules,
        "promises": lambda s: f"{len(load_promises(s).promise)} promises to guests",
        "signs of abuse": lambda s: f"held for {load_signals(s).hold} without a review",
        "stores": lambda s: f"{len(load_stores(s).places)} in the table, others are in {s.stores.timezone}",
        "pseudonym key": lambda s: "there" if load_pseudonyms(s) else "",
        "coupon key": lambda s: "there" if load_codes(s) else "none: coupons carry no code, and tills check none",
    }
    others = {**SERVER_CHECKS, "gateways": _gateways, "sinks": _sinks}
    with ThreadPoolExecutor() as pool:  # the servers are asked at once: each may keep us waiting
        answers = {name: pool.submit(check, settings).result for name, check in others.items()}
        findings = {**{name: partial(check, settings) for name, check in files.items()}, **answers}
        failed = sum(_fails(name, finding, out) for name, finding in findings.items())
    return 1 if failed else 0


def _fails(name: str, finding: Callable[[], str], out: Console) -> bool:
    """Whether a check fails; prints what it found."""
    try:
        out.print(f"[green]ok  [/] {name}: {escape(finding())}", highlight=False, soft_wrap=True)
    except Advice as advice:
        out.print(f"[yellow]look[/] {name}: {escape(str(advice))}", highlight=False, soft_wrap=True)
    except (Ailing, *FORESEEN) as error:
        out.print(f"[red]FAIL[/] {name}: {escape(line_of(error))}", highlight=False, soft_wrap=True)
        return True
    return False


def _rules(settings: Settings) -> str:
    rules = load_rules(settings)
    load_conditions(load_catalog(settings), rules)
    return f"{len(rules)} rules, {len(load_campaigns(settings, rules).by_id)} campaigns with limits"


def _holidays(rules: list[Rule], today: date) -> str:
    """Raises Advice where a rule looks at holidays of which no day is to come."""
    dates = {rule.id: rule.dates for rule in rules if rule.at and rule.at.holiday}
    named = {rule.id: (*dates.get(rule.id, ()), *chain.from_iterable(rule.holidays.values())) for rule in rules}
    ends = {id: max(last for _, last in days) for id, days in named.items() if days}
    over = [f"{id} ({date.fromordinal(last)})" for id, last in sorted(ends.items()) if last < today.toordinal()]
    if over:
        raise Advice(f"these rules name no day that is to come: {', '.join(over)}: add the next to their calendar")
    return f"{len(ends)} rules name some, each with a day to come"


def _security_rules(settings: Settings) -> str:
    loaded, refused = load_tested(security_texts(settings))
    if refused:
        raise Ailing("; ".join(each.line for each in refused))
    return f"{len(loaded.heads)} rules"


def _gateways(settings: Settings) -> str:
    targets = load_gateways(settings)
    with ThreadPoolExecutor(max_workers=max(1, len(targets))) as pool:
        found = [
            *pool.map(lambda one: _connect(one.name, one.gateway.url, f"[dispatch.gateways.{one.name}] url"), targets)
        ]
    if away := [said for well, said in found if not well]:
        raise Ailing("; ".join(away))
    return ", ".join(said for _, said in found) or "none configured: coupons stay on their topic"


def _sinks(settings: Settings) -> str:
    targets = load_targets(settings, load_sinks(settings))
    with ThreadPoolExecutor(max_workers=max(1, len(targets))) as pool:
        found = [*pool.map(_reach, targets)]
    if away := [said for well, said in found if not well]:
        raise Ailing("; ".join(away))
    return ", ".join(said for _, said in found) or "none configured: `brewline alerts list` shows what fires"


def _reach(target: Target) -> tuple[bool, str]:
    """A datagram tells nothing of who is there."""
    sink, where = target.sink, f"[sinks.{target.name}]"
    if isinstance(sink, OverHttp):
        return _connect(target.name, sink.url, f"{where} url")
    assert isinstance(sink, Syslog)
    if sink.over == "udp":
        return True, f"{target.name} at {sink.address} is told by datagrams"
    return _connect(target.name, f"//{sink.address}", f"{where} address")


def _connect(name: str, url: str, where: str) -> tuple[bool, str]:
    """Whether somebody takes a connection there, and words for it; no request is sent."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((host, port), CONNECT_S).close()
    except OSError as error:
        why = error.strerror or type(error).__name__
        return False, f"{name} at {host}:{port} takes no connection ({why}): see {where}"
    return True, f"{name} at {host}:{port} takes connections"
