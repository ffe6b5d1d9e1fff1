"""The security job over a log, with rules for tests."""

from __future__ import annotations

import json
from typing import Any

from alerts.security.job import SecurityJob
from alerts.security.sigma import load
from features import events as ev
from features.check import Limits
from features.loop import Store, batches, run
from features.stores import Stores

MINUTE_MS, HOUR_MS = 60_000, 3_600_000


START_MS = 490_000 * HOUR_MS


RETENTION_HOURS = 3


LIMITS = Limits(max_event_bytes=10_000, earliest_ms=HOUR_MS, max_future_ms=2 * START_MS)


LOG = "logsource: {product: brewline, service: audit}"


EXPORTS_AND_VIEWS = f"""
title: Any export
name: exports
id: 00000000-0000-4000-8000-000000000001
{LOG}
detection: {{a: {{action: export}}, condition: a}}
---
title: Any view
name: views
id: 00000000-0000-4000-8000-000000000002
{LOG}
detection: {{a: {{action: view}}, condition: a}}
---
"""


RULES = f"""{EXPORTS_AND_VIEWS}title: Big export
name: big
id: 00000000-0000-4000-8000-000000000003
tags: [attack.t1567]
level: high
{LOG}
detection: {{a: {{action: export, rows|gte: 5000}}, condition: a}}
---
title: Rows within an hour
name: rows
id: 00000000-0000-4000-8000-000000000004
correlation:
  {{type: value_sum, rules: [exports], group-by: [actor], timespan: 1h, condition: {{field: rows, gte: 100}}}}
---
title: Objects within ten minutes
name: objects
id: 00000000-0000-4000-8000-000000000005
correlation:
  {{type: value_count, rules: [views], group-by: [actor], timespan: 10m, condition: {{field: object, gte: 3}}}}
---
title: Busy at one store
name: busy
id: 00000000-0000-4000-8000-000000000006
correlation:
  {{type: event_count, rules: [views, exports], group-by: [store, actor], timespan: 30m, condition: {{gt: 3}}}}
"""


LOADED, REFUSED = load([("rules.yml", RULES)])


def job() -> SecurityJob:
    assert REFUSED == []
    return SecurityJob(LOADED, Stores("Asia/Shanghai"), LIMITS, RETENTION_HOURS)


def export(id: str, at_ms: int = START_MS, **more: Any) -> ev.AuditExport:
    return ev.AuditExport(id=id, time=at_ms, at_ms=at_ms, **{"actor": "ann", **more})


def view(id: str, at_ms: int = START_MS, **more: Any) -> ev.AuditAccess:
    return ev.AuditAccess(id=id, time=at_ms, at_ms=at_ms, action="view", **{"actor": "ann", **more})


def tick(at_ms: int) -> ev.Tick:
    return ev.Tick(id=f"t{at_ms}", time=at_ms, at_ms=at_ms)


def encoded(event: ev.Event) -> bytes:
    raw = {**json.loads(ev.encode(event))}
    return json.dumps({key: value for key, value in raw.items() if key != "at_ms"}).encode()


def after(log: list[ev.Event], cuts: list[int] | None = None) -> Store:
    stores = {0: Store()}
    return run(job(), batches("audit.events", 0, [encoded(event) for event in log], cuts or []), stores)[0]


def alerts(store: Store) -> list[dict[str, Any]]:
    return [json.loads(message.value) for message in store.sent if message.topic == "alerts"]


def fired(store: Store) -> list[tuple[str, str]]:
    return [(alert["data"]["rule"], alert["data"]["evidence"][-1]) for alert in alerts(store)]


def told(store: Store) -> list[ev.AuditTold]:
    return [ev.decode_audit(message.value) for message in store.sent if message.topic == "audit.events"]
