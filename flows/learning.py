"""learning: labelled examples → models → versions that the customers flow scores with."""

from __future__ import annotations

from bytewax.dataflow import Dataflow

from config.settings import Settings
from features.catalog import Catalog
from features.course import Publishing, Subject
from features.learning import LearningJob
from features.models import input_layouts
from features.offers import inputs_of
from flows.files import load_catalog
from flows.house import House
from flows.opening import open_house
from flows.turns import Turns


def add(flow: Dataflow, house: House) -> None:
    ways = publishing(house.settings), house.topic("alerts"), house.topic("dead-letters")
    taught = subjects(load_catalog(house.settings))
    house.stage(flow, "learning", "examples", LearningJob(taught, *ways), Turns(house, taught).follow)


def subjects(catalog: Catalog) -> dict[str, Subject]:
    """What is learned, by model."""
    layouts, tasks = input_layouts(catalog), catalog.tasks
    return {
        model: Subject(model, seen, layouts[model], tasks[model].link) for model, seen in inputs_of(catalog).items()
    }


def publishing(settings: Settings) -> Publishing:
    learning = settings.learning
    automatic = learning.promote == "automatic"
    return Publishing(learning.publish_every, learning.window_labels, learning.versions_kept, automatic)


def flow() -> Dataflow:
    return open_house("learning", add)
