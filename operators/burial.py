"""What becomes of an event that makes a flow's job raise."""

from __future__ import annotations

from features.job import Batch, Changes, Plan, Position, State
from features.messages import Refused, dead_letter


class Burial:
    """The job for an event that made the real job raise: it becomes a dead letter."""

    def __init__(self, dead_letters: str, error: Exception) -> None:
        self.dead_letters = dead_letters
        self.error = error

    def plan(self, batch: Batch, position: Position) -> Plan:
        return Plan(position, position.clock, work=batch)

    def timer_records(self, due: list[tuple[int, str]]) -> list[str]:
        return []

    def apply(self, plan: Plan, state: State) -> Changes:
        batch: Batch = plan.work
        counts = {"dead_lettered": 1, "dead_lettered:internal_error": 1}
        letter = dead_letter(self.dead_letters, batch, 0, Refused("internal_error", type(self.error).__name__))
        position = plan.position.moved(batch.last, plan.clock, counts)
        return Changes(position, messages=[letter], counts=counts)
