"""learning: labelled examples → River models → versions that the customers flow scores with."""

from __future__ import annotations

from bytewax.dataflow import Dataflow

from config.settings import Settings
from features.catalog import Catalog
from features.course import Publishing, Subject
from features.learning import LearningJob
from features.models import input_layouts
from flows.files import load_catalog
from flows.house import House
from flows.opening import open_house


def add(flow: Dataflow, house: House) -> None:
    ways = publishing(house.settings), house.topic("alerts"), house.topic("dead-letters")
    house.stage(flow, "learning", "examples", LearningJob(subjects(load_catalog(house.settings)), *ways))


def subjects(catalog: Catalog) -> dict[str, Subject]:
    """What is learned, by model."""
    layouts = input_layouts(catalog)
    inputs = {model: [catalog.names[i] for i in columns] for model, columns in catalog.models.items()}
    return {model: Subject(model, names, layouts[model]) for model, names in inputs.items()}


def publishing(settings: Settings) -> Publishing:
    learning = settings.learning
    automatic = learning.promote == "automatic"
    return Publishing(learning.publish_every, learning.window_labels, learning.versions_kept, automatic)


def flow() -> Dataflow:
    return open_house("learning", add)
