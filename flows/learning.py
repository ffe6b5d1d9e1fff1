"""learning: labelled examples → models → versions that the customers flow scores with."""

from __future__ import annotations

from bytewax.dataflow import Dataflow

from features.learning import LearningJob
from features.models import input_layouts
from flows.files import load_catalog
from flows.house import House
from flows.opening import open_house


def add(flow: Dataflow, house: House) -> None:
    catalog = load_catalog(house.settings)
    inputs = {model: [catalog.names[i] for i in columns] for model, columns in catalog.models.items()}
    letters = house.topic("dead-letters")
    job = LearningJob(inputs, input_layouts(catalog), house.settings.learning.publish_every, letters)
    house.stage(flow, "learning", "examples", job)


def flow() -> Dataflow:
    return open_house("learning", add)
