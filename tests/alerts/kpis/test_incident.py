"""Which firing series are one incident, and which are another."""

from __future__ import annotations

from msgspec import msgpack

from alerts.kpis.incident import Incident, Place, fingerprint, join
from alerts.kpis.series import NAMES

REGION_OF = {"store:a": "region:east", "store:b": "region:east", "store:c": "region:west"}
REGION_OF["region+category:east+x"] = "region:east"
ORDERS, REDEEMED, COUPONS, CONVERSION, AOV, OFFLINE = map(
    NAMES.index, ("orders", "redemptions", "redemption_share", "conversion", "aov_cents", "alive")
)


def gather(*places: tuple[str, int, int]) -> list[Incident]:
    """The incidents after series of these places have begun to fire, a minute apart."""
    open_: list[Incident] = []
    for minute, (dim, series, side) in enumerate(places):
        place = Place(dim, series, side, REGION_OF.get(dim, ""))
        join(open_, place, (dim, series), minute, NAMES[series], REGION_OF)
    return open_


def test_all_kpis_of_one_store_are_one_incident_which_names_them() -> None:
    [one] = gather(("store:a", ORDERS, -1), ("store:a", AOV, 1), ("store:a", CONVERSION, -1))
    assert (one.dim, one.kpis) == ("store:a", [ORDERS, AOV, CONVERSION])


def test_stores_of_a_region_that_fires_are_part_of_it_and_others_are_not() -> None:
    region, other = gather(("region:east", ORDERS, -1), ("store:a", ORDERS, -1), ("store:c", ORDERS, -1))
    assert [dim for dim, _ in region.members] == ["region:east", "store:a"]
    assert other.dim == "store:c"


def test_what_is_not_alike_is_an_incident_of_its_own_though_the_chain_fires() -> None:
    dims = [one.dim for one in gather(("chain:*", ORDERS, -1), ("region:east", COUPONS, 1), ("store:a", ORDERS, 1))]
    assert dims == ["chain:*", "region:east", "store:a"]


def test_conversion_may_go_either_way_when_orders_fall() -> None:
    [one] = gather(("channel:app", ORDERS, -1), ("region:east", CONVERSION, 1), ("region:west", ORDERS, -1))
    assert one.dim == "channel:app"


def test_a_channel_takes_no_stores() -> None:
    assert len(gather(("channel:app", ORDERS, -1), ("store:a", ORDERS, -1))) == 2


def test_a_campaign_takes_redemptions_of_all_places_and_leaves_orders_and_other_campaigns() -> None:
    places = [
        ("campaign:x", REDEEMED, 1),
        ("store:a", COUPONS, 1),
        ("chain:*", REDEEMED, 1),
        ("channel:app", COUPONS, 1),
    ]
    dims = [one.dim for one in gather(*places, ("store:b", ORDERS, -1), ("campaign:y", REDEEMED, 1))]
    assert dims == ["campaign:x", "store:b", "campaign:y"]


def test_what_places_told_of_a_campaign_goes_on_as_its_incident_and_says_what_is_to_be_paused() -> None:
    [one, *_] = gather(("region:east", COUPONS, 1), ("store:c", REDEEMED, 1), ("campaign:x", REDEEMED, 1))
    assert (one.dim, one.series, [dim for dim, _ in one.members]) == (
        "campaign:x", REDEEMED, ["region:east", "store:c", "campaign:x"]
    )  # fmt: skip
    assert ("campaign:x", REDEEMED) in one.high


def test_a_line_of_products_takes_what_lies_in_places_that_it_was_told_to_hit_and_leaves_all_else() -> None:
    fails = ("category:x", ORDERS, -1)
    assert [one.dim for one in gather(fails, ("store:a", ORDERS, -1))] == ["category:x", "store:a"]
    [one] = hit = gather(fails)
    one.members.append(("region:east", ORDERS))
    for dim, series in (("store:a", ORDERS), ("region:east", CONVERSION), ("store:b", OFFLINE), ("store:c", ORDERS)):
        join(hit, Place(dim, series, -1, REGION_OF.get(dim, "")), (dim, series), 9, NAMES[series], REGION_OF)
    assert [dim for dim, _ in one.members] == ["category:x", "region:east", "store:a", "region:east"]
    assert [each.dim for each in hit[1:]] == ["store:b", "store:c"]


def test_a_line_of_a_region_is_part_of_what_its_category_or_its_region_has_told_and_goes_on_as_theirs() -> None:
    line = "region+category:east+x"
    for wider in ("category:x", "region:east", "chain:*"):
        assert [one.dim for one in gather((wider, ORDERS, -1), (line, ORDERS, -1))] == [wider]
        assert [one.dim for one in gather((line, ORDERS, -1), (wider, ORDERS, -1))] == [wider]
    for other in ("category:y", "region:west", "channel:app"):
        assert len(gather((other, ORDERS, -1), (line, ORDERS, -1))) == 2
        assert len(gather((line, ORDERS, -1), (other, ORDERS, -1))) == 2


def test_a_wider_fault_goes_on_as_the_first_incident_and_ends_the_others() -> None:
    open_: list[Incident] = []
    for minute, dim in enumerate(("store:a", "store:b", "store:c")):
        join(open_, Place(dim, ORDERS, -1, REGION_OF[dim]), (dim, ORDERS), minute, "orders", REGION_OF)
    first = open_[0].id
    ended = join(open_, Place("region:east", ORDERS, -1), ("region:east", ORDERS), 9, "orders", REGION_OF)
    assert [(one.dim, one.id) for one in open_] == [("region:east", first), ("store:c", open_[1].id)]
    assert [one.dim for one in ended] == ["store:b"]
    assert [dim for dim, _ in open_[0].members] == ["store:a", "store:b", "region:east"]


def test_it_is_kept_where_each_series_is_more_than_usual_whatever_the_incident_began_with() -> None:
    [one] = gather(("store:a", ORDERS, -1), ("store:a", REDEEMED, 1), ("store:a", COUPONS, -1), ("store:a", COUPONS, 1))
    assert one.high == [("store:a", REDEEMED), ("store:a", COUPONS)]


def test_within_a_wider_incident_it_is_kept_which_stores_are_more_than_usual_until_all_around_them_is() -> None:
    dims = ("store:a", "region:east", "store:b")
    [one] = gather(("region:east", ORDERS, 1), *((dim, REDEEMED, 1) for dim in dims))
    assert one.high == [("region:east", ORDERS), ("store:a", REDEEMED), ("region:east", REDEEMED)]


def test_it_is_news_when_something_is_more_than_usual_that_was_less() -> None:
    [one] = gather(("store:a", REDEEMED, -1))
    one.news = False
    join([one], Place("store:a", REDEEMED, 1, "region:east"), ("store:a", REDEEMED), 9, "redemptions", REGION_OF)
    assert one.news


def test_what_an_incident_has_not_told_yet_of_what_is_more_than_usual_is_told_by_the_wider_one_that_ends_it() -> None:
    for news in (True, False):
        open_ = gather(("store:a", ORDERS, 1), ("store:b", ORDERS, 1), ("store:b", REDEEMED, 1))
        open_[1].news = news
        join(open_, Place("region:east", ORDERS, 1), ("region:east", ORDERS), 9, "orders", REGION_OF)
        assert (("store:b", REDEEMED) in open_[0].high) == news


def test_an_incident_that_was_stored_before_this_was_kept_goes_on() -> None:
    [one] = gather(("store:a", ORDERS, 1))
    before = msgpack.encode(msgpack.decode(msgpack.encode(one))[:-1])
    known = msgpack.decode(before, type=Incident)
    assert (known.id, known.kpis, known.high) == (one.id, one.kpis, [])


def test_a_fingerprint_is_the_same_whenever_it_happens() -> None:
    [one], [other] = gather(("store:a", ORDERS, -1)), gather(("store:b", AOV, 1), ("store:a", ORDERS, -1))[1:]
    assert one.mark == other.mark == fingerprint("store:a", "orders", "low")
    assert one.id != other.id
