"""Every way of writing an identifier is one customer; two become one where an event says so, and never by accident."""

from __future__ import annotations

from copy import deepcopy
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.events import AppOpen, Bind, Event, Login, Order, Who
from features.identity import KINDS, Degree, Pseudonyms, Table, first_name, growing, resolve
from features.messages import Refused

HOUSE = Pseudonyms(b"a key of sixteen", "CN")
FREE = Degree(99, 99, 99)
PHONE = Who(phone="13800138000")


def bind(id: str = "b") -> Bind:
    return Bind(id=id)


def customer(event: Event, who: Who, table: Table) -> str:
    return resolve(event, HOUSE.of(who), table, FREE).customer


@pytest.mark.parametrize(
    "written",
    [
        "13800138000",
        "+86 138 0013 8000",
        "+8613800138000",
        "0086 138-0013-8000",
        " 138 0013 8000 ",
        "１３８００１３８０００",
    ],
)
def test_every_way_of_writing_a_phone_number_is_one_customer(written: str) -> None:
    assert HOUSE.of(Who(phone=written)) == HOUSE.of(PHONE)


def test_a_number_is_read_under_the_country_of_the_house_unless_it_names_its_own() -> None:
    american = Pseudonyms(HOUSE.key, "US")
    assert american.of(Who(phone="(212) 555-0123")) == HOUSE.of(Who(phone="+1 212 555 0123"))


@pytest.mark.parametrize("written", ["12", "not a number", "+86 1", "1" * 60])
def test_what_is_no_phone_number_is_refused_without_quoting_it(written: str) -> None:
    with pytest.raises(Refused) as refused:
        HOUSE.of(Who(phone=written))
    assert refused.value.reason == "identity"
    assert written not in refused.value.detail


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blank", [" ", "\t", "\u3000"])
def test_a_blank_identifier_is_none(kind: str, blank: str) -> None:
    """Otherwise all customers of a till that sends blanks would be one."""
    assert HOUSE.of(Who(**{kind: blank})) == []


def test_a_card_is_read_without_case_and_blanks_but_an_opaque_id_keeps_its_case() -> None:
    assert HOUSE.of(Who(card=" ab12 ")) == HOUSE.of(Who(card="AB12"))
    for kind in ("app_id", "openid", "marketplace_id"):
        assert HOUSE.of(Who(**{kind: "oAbc"})) != HOUSE.of(Who(**{kind: "oabc"}))


def test_the_same_text_under_another_kind_or_key_is_another_pseudonym() -> None:
    found = {HOUSE.one(kind, "13800138000") for kind in KINDS} | {Pseudonyms(b"another key of 16", "CN").of(PHONE)[0]}
    assert len({pseudonym.partition(":")[2] for pseudonym in found}) == len(KINDS) + 1


identifiers = st.fixed_dictionaries(
    {}, optional={kind: st.text("abcxyz", min_size=1, max_size=3) for kind in KINDS if kind != "phone"}
).filter(bool)


@given(identifiers)
def test_whichever_process_meets_a_customer_first_gives_the_same_id(who: dict[str, str]) -> None:
    one, other = Table(), Table()
    assert customer(AppOpen(id="1"), Who(**who), one) == customer(bind(), Who(**who), other)
    assert one == other


def test_a_weaker_identifier_that_is_known_names_the_customer_of_a_new_stronger_one() -> None:
    table = Table()
    by_card = customer(Order(id="1", lines=[], total_cents=0), Who(card="C1"), table)
    assert customer(bind(), Who(phone=PHONE.phone, card="C1"), table) == by_card
    assert customer(AppOpen(id="2"), PHONE, table) == by_card


def test_an_order_with_identifiers_of_two_customers_goes_to_the_strongest_and_links_nothing() -> None:
    table = Table()
    by_phone = customer(AppOpen(id="1"), PHONE, table)
    customer(AppOpen(id="2"), Who(card="C1"), table)
    before = deepcopy(table)
    order = Order(id="3", lines=[], total_cents=0)
    assert customer(order, Who(phone=PHONE.phone, card="C1", app_id="new"), table) == by_phone
    assert table == before


# Two customers who turn out to be one


@pytest.mark.parametrize("event", [Bind(id="x"), Login(id="x")])
def test_binding_two_customers_makes_one_of_them_the_one_with_the_smaller_id(event: Event) -> None:
    table = Table()
    both = [customer(AppOpen(id="1"), who, table) for who in (PHONE, Who(card="C1"))]
    found = resolve(event, HOUSE.of(Who(phone=PHONE.phone, card="C1", app_id="new")), table, FREE)
    assert (found.customer, found.merges) == (min(both), {max(both): min(both)})
    assert found.links.items() >= {f"customer:{max(both)}": min(both)}.items()
    for who in (PHONE, Who(card="C1"), Who(app_id="new")):
        assert customer(AppOpen(id="3"), who, table) == min(both)


def oracle(stream: list[dict[str, str]]) -> list[set[str]]:
    """Which identifiers are one customer, if every event is a bind."""
    groups: list[set[str]] = []
    for who in stream:
        joined = set(HOUSE.of(Who(**who)))
        joined = joined.union(*(group for group in groups if group & joined))
        groups = [*(group for group in groups if not group & joined), joined]
    return groups


@given(st.lists(identifiers, max_size=12))
def test_whoever_is_bound_is_one_customer_for_ever_and_nobody_else(stream: list[dict[str, str]]) -> None:
    table = Table()
    for number, who in enumerate(stream):
        customer(bind(str(number)), Who(**who), table)
    groups = [{table.root(table.links[p]) for p in group} for group in oracle(stream)]
    assert all(len(group) == 1 for group in groups)
    assert len(set.union(set(), *groups)) == len(groups)


def singles(whos: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{kind: raw} for who in whos for kind, raw in who.items()]


@given(st.lists(identifiers, max_size=8), st.lists(identifiers, min_size=1, max_size=8), st.randoms())
def test_in_whatever_order_customers_are_merged_the_one_with_the_smallest_id_stays(
    met: list[dict[str, str]], bound: list[dict[str, str]], random: Random
) -> None:
    ends = []
    for _ in range(3):
        table = Table()
        for single in singles([*met, *bound]):  # each was somebody before
            customer(AppOpen(id="1"), Who(**single), table)
        for who in random.sample(bound, len(bound)):
            customer(bind(), Who(**who), table)
        ends.append({name: table.root(link) for name, link in table.links.items() if not name.startswith("customer:")})
    assert ends[0] == ends[1] == ends[2]
    for group in oracle(singles(met) + bound):
        assert {ends[0][pseudonym] for pseudonym in group} == {min(map(first_name, group))}


def stored(*tables: Table) -> Table:
    """The table as the next process finds it, of all that was written before Kafka had it."""
    return Table(links={name: to for table in tables for name, to in table.new.items()})


def test_a_process_that_repeats_a_bind_which_kafka_never_had_says_the_merge_again() -> None:
    first, both = Table(), Who(phone=PHONE.phone, card="C1")
    one, other = (customer(AppOpen(id=who.phone), who, first) for who in (PHONE, Who(card="C1")))
    said = resolve(bind(), HOUSE.of(both), first, FREE)
    assert said.merges == {max(one, other): min(one, other)}
    again = resolve(bind(), HOUSE.of(both), stored(first), FREE)
    assert (again.customer, again.merges) == (said.customer, said.merges)
    assert again.links.items() >= dict.fromkeys(HOUSE.of(both), said.customer).items()


def test_whoever_first_follows_a_merge_says_it_too_for_he_takes_the_evidence_away() -> None:
    first = Table()
    one, other = (customer(AppOpen(id="1"), who, first) for who in (PHONE, Who(card="C1")))
    customer(bind(), Who(phone=PHONE.phone, card="C1"), first)
    second = stored(first)
    away = PHONE if one > other else Who(card="C1")
    seen = resolve(AppOpen(id="2"), HOUSE.of(away), second, FREE)
    (pseudonym,) = HOUSE.of(away)
    assert seen.merges == {max(one, other): min(one, other)}
    assert seen.links[pseudonym] == second.moved[pseudonym] == min(one, other)
    assert resolve(AppOpen(id="3"), HOUSE.of(away), second, FREE).links == {}


# Who cannot be one person


def limited(degree: Degree, stream: list[Who], table: Table) -> list[str]:
    """What becomes of binds: the customer, or why not."""
    found = []
    for who in stream:
        try:
            found.append(resolve(bind(), HOUSE.of(who), table, degree).customer)
        except Refused as refused:
            found.append(refused.reason)
    return found


@pytest.mark.parametrize(
    ("degree", "reached"),
    [(Degree(3, 99, 99), 3), (Degree(99, 5, 99), 4), (Degree(99, 99, 4), 99)],
)
def test_a_phone_that_more_cards_are_bound_to_than_one_person_has_is_refused(degree: Degree, reached: int) -> None:
    found = limited(degree, [Who(phone=PHONE.phone, card=f"C{n}") for n in range(10)], Table())
    assert len(set(found[:reached])) == 1
    assert set(found[reached:]) <= {"identity_limit"}


def test_a_store_s_test_card_does_not_merge_more_customers_than_the_limit() -> None:
    table, degree = Table(), Degree(99, 99, 4)
    phones = [Who(phone=f"1380013800{n}") for n in range(8)]
    before = [customer(AppOpen(id="1"), phone, table) for phone in phones]
    found = limited(degree, [Who(phone=phone.phone, card="TEST") for phone in phones], table)
    assert found.count("identity_limit") == 4
    assert {table.root(one) for one in before[4:]} == set(before[4:])


def test_an_order_beyond_the_limit_counts_for_the_one_who_is_known_and_links_nothing() -> None:
    table, degree = Table(), Degree(2, 99, 99)
    order = Order(id="1", lines=[], total_cents=0)
    phones = [f"1380013800{n}" for n in range(4)]
    whose = [resolve(order, HOUSE.of(Who(card="TEST", phone=phone)), table, degree).customer for phone in phones]
    assert len(set(whose)) == 1
    assert [HOUSE.one("phone", phone) in table.links for phone in phones] == [True, True, False, False]


def test_only_customers_that_may_grow_are_asked_for_their_identifiers() -> None:
    table = Table()
    mine = customer(bind(), Who(phone=PHONE.phone, card="C1"), table)
    other = customer(AppOpen(id="1"), Who(card="C2"), table)
    ask = lambda *whos: growing(map(HOUSE.of, whos), {}, table)  # noqa: E731
    assert ask(Who(phone=PHONE.phone, card="C1"), PHONE, Who(app_id="new")) == set()
    assert ask(Who(phone=PHONE.phone, app_id="new")) == {mine}
    assert ask(Who(phone=PHONE.phone, card="C2")) == {mine, other}


# Keys that rotate

NEW = Pseudonyms(b"another key of 16", "CN", (HOUSE.key,))


def test_who_is_known_under_a_former_key_is_the_same_customer_and_is_known_under_the_new_one_from_then_on() -> None:
    table = Table()
    before = customer(bind(), Who(phone=PHONE.phone, card="C1"), table)
    found = resolve(AppOpen(id="1"), NEW.of(PHONE), table, FREE, NEW.formerly(PHONE))
    (old,), (now,) = HOUSE.of(PHONE), NEW.of(PHONE)
    assert found.customer == before
    assert found.links == {now: before, old: None}
    assert table.moved == {old: None}
    without = Pseudonyms(NEW.key, "CN")
    assert resolve(AppOpen(id="2"), without.of(PHONE), table, FREE).customer == before


def test_one_identifier_under_two_keys_counts_once_against_the_limit() -> None:
    table, degree = Table(), Degree(1, 2, 2)
    both = Who(phone=PHONE.phone, card="C1")
    before = resolve(bind(), HOUSE.of(both), table, degree).customer
    assert resolve(bind(), NEW.of(both), table, degree, NEW.formerly(both)).customer == before


def test_an_identifier_that_became_two_customers_under_two_keys_is_one_again_at_the_next_bind() -> None:
    table = Table()
    one = customer(AppOpen(id="1"), PHONE, table)
    other = resolve(AppOpen(id="2"), NEW.of(PHONE), table, FREE).customer
    found = resolve(bind(), NEW.of(PHONE), table, FREE, NEW.formerly(PHONE))
    assert (found.customer, found.merges) == (min(one, other), {max(one, other): min(one, other)})


def test_a_former_key_costs_nothing_where_there_is_none() -> None:
    assert HOUSE.formerly(PHONE) == {}
    assert HOUSE.fingerprints == [HOUSE.fingerprint]
    assert NEW.fingerprints[1] == HOUSE.fingerprint != NEW.fingerprint
