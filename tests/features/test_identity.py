"""Every way of writing an identifier is one customer; two customers never become one by accident."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.events import AppOpen, Bind, Event, Login, Order, Who
from features.identity import KINDS, Pseudonyms, resolve
from features.messages import Refused

HOUSE = Pseudonyms(b"a key of sixteen", "CN")
PHONE = Who(phone="13800138000")


def bind(id: str = "b") -> Bind:
    return Bind(id=id)


def customer(event: Event, who: Who, known: dict[str, str]) -> str:
    return resolve(event, HOUSE.of(who), known)


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
    one, other = {}, {}
    assert customer(AppOpen(id="1"), Who(**who), one) == customer(bind(), Who(**who), other)
    assert one == other


@given(st.lists(identifiers, max_size=12))
def test_an_identifier_never_changes_its_customer(stream: list[dict[str, str]]) -> None:
    known: dict[str, str] = {}
    for number, who in enumerate(stream):
        before = dict(known)
        try:
            found = customer(bind(str(number)), Who(**who), known)
            assert all(known[pseudonym] == found for pseudonym in HOUSE.of(Who(**who)))
        except Refused:
            assert known == before
        assert before.items() <= known.items()


def test_a_weaker_identifier_that_is_known_names_the_customer_of_a_new_stronger_one() -> None:
    known: dict[str, str] = {}
    by_card = customer(Order(id="1", lines=[], total_cents=0), Who(card="C1"), known)
    assert customer(bind(), Who(phone=PHONE.phone, card="C1"), known) == by_card
    assert customer(AppOpen(id="2"), PHONE, known) == by_card


@pytest.mark.parametrize("event", [Bind(id="x"), Login(id="x")])
def test_binding_two_customers_into_one_is_refused_and_links_nothing(event: Event) -> None:
    known: dict[str, str] = {}
    customer(AppOpen(id="1"), PHONE, known)
    customer(AppOpen(id="2"), Who(card="C1"), known)
    before = dict(known)
    with pytest.raises(Refused, match="two customers") as refused:
        customer(event, Who(phone=PHONE.phone, card="C1", app_id="new"), known)
    assert refused.value.reason == "identity"
    assert known == before


def test_an_order_with_identifiers_of_two_customers_goes_to_the_strongest_and_links_nothing() -> None:
    known: dict[str, str] = {}
    by_phone = customer(AppOpen(id="1"), PHONE, known)
    customer(AppOpen(id="2"), Who(card="C1"), known)
    before = dict(known)
    order = Order(id="3", lines=[], total_cents=0)
    assert customer(order, Who(phone=PHONE.phone, card="C1", app_id="new"), known) == by_phone
    assert known == before
