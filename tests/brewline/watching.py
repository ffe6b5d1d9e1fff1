"""Watches topics that were just made."""

from __future__ import annotations

import time

from confluent_kafka import KafkaException

from brewline.watch import Watch
from config.settings import Settings


def watch_when_there(settings: Settings) -> Watch:
    """A partition may have no leader yet."""
    end = time.monotonic() + 20
    while True:
        try:
            return Watch(settings)
        except KafkaException:
            assert time.monotonic() < end
            time.sleep(0.1)
