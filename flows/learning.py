"""learning: labelled examples → River models → versions that the customers flow scores with."""

from __future__ import annotations

from bytewax.dataflow import Dataflow

from features.learning import LearningJob
from features.models import input_layouts
from features.offers import inputs_of
from flows.files import load_catalog
from flows.house import House
from flows.opening import open_house


def add(flow: Dataflow, house: House) -> None:
    catalog = load_catalog(house.settings)
    links = {model: task.link for model, task in catalog.tasks.items()}
    letters, every = house.topic("dead-letters"), house.settings.learning.publish_every
    job = LearningJob(inputs_of(catalog), input_layouts(catalog), every, letters, links)
    house.stage(flow, "learning", "examples", job)


def flow() -> Dataflow:
    return open_house("learning", add)
