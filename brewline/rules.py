"""Checks and tests the rules of both wings: coupon rules and security rules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath

from msgspec import Struct
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alerts.security import rule_tests
from alerts.triggers.calendar import Calendars
from alerts.triggers.gifts import Then, WrongRule
from alerts.triggers.places import without_file
from alerts.triggers.receipts.spoken import spell_at
from alerts.triggers.rule import Rule, read_rule
from alerts.triggers.timeline import failures
from brewline.paths import from_here
from config.settings import Settings
from features.written import hint
from flows.files import load_catalog
from flows.files import text as read_text
from flows.guards import security_texts
from flows.rules import load_calendars, load_campaigns, load_conditions, load_rules

Named = tuple[Rule, str, str]  # rule, file, text


class Tested(Struct):
    """A rule, or a file of security rules, and how its timelines came out."""

    name: str
    firing: int
    quiet: int
    failed: list[str]


def check_rules(settings: Settings, out: Console) -> int:
    """Prints every rule; the exit code, 1 when a security rule is refused. Raises WrongRule for a coupon rule."""
    rules = load_rules(settings)
    load_conditions(load_catalog(settings), rules)
    campaigns = load_campaigns(settings, rules)
    table = Table("coupon rule", "when it looks", "when", "gives", "cooldown")
    for rule, _, _ in rules:
        waits = [f"{rule.after.wait} after {rule.after.event}"] if rule.after else [spell_at(rule)] if rule.at else []
        looks = ", ".join([*rule.on, *waits])
        table.add_row(rule.id, looks, escape(rule.when), escape(_gives(rule.then)), rule.cooldown)
    out.print(table)
    if free := without_file(rules, campaigns.by_id):
        out.print(
            f"no limit: campaigns without a file: {', '.join(free)}", highlight=False, markup=False, soft_wrap=True
        )
    loaded, refused = rule_tests.load_tested(security_texts(settings))
    guards = Table("security rule", "level", "file")
    for head in loaded.heads:
        guards.add_row(escape(head.title), head.level, PurePath(head.file).name)
    out.print(guards)
    for each in refused:
        out.print(f"[red]refused: {escape(each.line)}[/]", soft_wrap=True)
    out.print("whether their timelines come out as they say, `brewline rules test` tells", highlight=False)
    return 1 if refused else 0


def _gives(then: Then) -> str:
    return " or ".join(dict.fromkeys(gift.coupon or gift.message for gift in then.gifts.values()))


def run_rule_tests(settings: Settings, names: list[str], out: Console) -> tuple[dict[str, int], list[str]]:
    """Figures, and one line per failed timeline. `names`: ids of coupon rules, or files; none means all rules."""
    rules, calendars = load_rules(settings), load_calendars(settings)
    known = {one[0].id: one for one in rules}
    tested = _test_coupon_rules(settings, [find_rule(name, known, calendars) for name in names] or rules)
    tested += [] if names else _test_security_rules(settings)
    table = Table("rule", "firing tests", "quiet tests", "result", title="rule tests")
    for rule in tested:
        verdict = f"[red]{len(rule.failed)} failed[/]" if rule.failed else "[green]ok[/]"
        table.add_row(rule.name, str(rule.firing), str(rule.quiet), verdict)
    out.print(table)
    failed = [line for rule in tested for line in rule.failed]
    for line in failed:
        out.print(f"[red]{escape(from_here(line))}[/]", soft_wrap=True)
    figures = {
        "rules": len(tested),
        "firing_tests": sum(rule.firing for rule in tested),
        "quiet_tests": sum(rule.quiet for rule in tested),
        "failed": len(failed),
    }
    out.print(", ".join(f"{name.replace('_', ' ')}: {number}" for name, number in figures.items()), highlight=False)
    return figures, failed


def find_rule(name: str, known: Mapping[str, Named], calendars: Calendars) -> Named:
    """By its id, or by a file that may lie anywhere. Raises WrongRule, WrongSettings."""
    if name in known:
        return known[name]
    if not Path(name).is_file():
        what = f"{name}: there is no such file" if name.endswith(".toml") else f"there is no rule {name!r}"
        raise WrongRule(f"{what}{hint(name.removesuffix('.toml'), known)}")
    text = read_text(Path(name))
    return read_rule(text, name, calendars), name, text


def _test_coupon_rules(settings: Settings, rules: list[Named]) -> list[Tested]:
    catalog = load_catalog(settings)
    load_conditions(catalog, rules)
    load_campaigns(settings, rules, some=True)
    tested = []
    for rule, file, text in rules:
        firing = sum(bool(test.fires_at) for test in rule.test)
        tested.append(Tested(rule.id, firing, len(rule.test) - firing, failures(rule, file, text, catalog)))
    return tested


def _test_security_rules(settings: Settings) -> list[Tested]:
    texts = security_texts(settings)
    failed = rule_tests.failures(texts)
    tested = []
    for file, text in texts:
        if file.endswith(rule_tests.TEST_SUFFIX):
            timelines = rule_tests.read_tests(text, file)
            firing = sum(bool(timeline.fires_at) for timeline in timelines)
            mine = [line for line in failed if line.startswith(f"{file}:")]
            name = PurePath(file).name.removesuffix(rule_tests.TEST_SUFFIX)
            tested.append(Tested(name, firing, len(timelines) - firing, mine))
    _, refused = rule_tests.load_tested(texts)
    return [*tested, *(Tested(PurePath(each.file).name, 0, 0, [each.line]) for each in refused)]
