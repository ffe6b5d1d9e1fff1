from __future__ import annotations

from features.seen import ID_BYTES, expires_ms, id_hash, is_set, set_name
from features.times import HOUR_MS


def test_events_of_one_hour_share_a_set() -> None:
    assert set_name(5 * HOUR_MS) == set_name(6 * HOUR_MS - 1) == "seen|5"
    assert set_name(6 * HOUR_MS) == "seen|6"
    assert is_set(set_name(-1))


def test_a_set_lasts_for_its_retention_after_its_hour() -> None:
    assert expires_ms(5 * HOUR_MS, 48) == expires_ms(6 * HOUR_MS - 1, 48) == 54 * HOUR_MS


def test_ids_hash_alike_in_every_run() -> None:
    assert id_hash("e1").hex() == "1b5d5e51f54f0f04"
    assert len(id_hash("ä" * 128)) == ID_BYTES
