"""learning: labelled examples → models → versions that the customers flow scores with."""

from __future__ import annotations

from bytewax.dataflow import Dataflow

from config.settings import Settings
from features.course import Publishing, subjects
from features.drift import adwin
from features.learning import LearningJob
from flows.files import load_catalog
from flows.house import House
from flows.opening import open_house
from flows.turns import Turns


def add(flow: Dataflow, house: House) -> None:
    ways = publishing(house.settings), house.topic("alerts"), house.topic("dead-letters")
    adwin()  # loaded now, so that no batch waits for it
    taught = subjects(load_catalog(house.settings))
    house.stage(flow, "learning", "examples", LearningJob(taught, *ways), Turns(house, taught).follow)


def publishing(settings: Settings) -> Publishing:
    learning = settings.learning
    automatic = learning.promote == "automatic"
    return Publishing(learning.publish_every, learning.window_labels, learning.versions_kept, automatic)


def flow() -> Dataflow:
    return open_house("learning", add)
