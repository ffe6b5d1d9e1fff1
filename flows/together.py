"""Several flows in one process: `python -m bytewax.run "flows.together:flow('ingest', 'customers')"`."""

from __future__ import annotations

from bytewax.dataflow import Dataflow

from flows import abuse, customers, ingest, kpis, learning, security, service
from flows.opening import open_house

FLOWS = {
    "ingest": ingest.add,
    "customers": customers.add,
    "learning": learning.add,
    "kpis": kpis.add,
    "security": security.add,
    "service": service.add,
    "abuse": abuse.add,
}


def flow(*names: str) -> Dataflow:
    """Metrics and health are served on the port of the flow named first."""
    return open_house(names[0], *(FLOWS[name] for name in names))
