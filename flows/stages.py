"""The stages of each flow: the name under which Redis keeps its state and fences, and the topic that it reads."""

from __future__ import annotations

STAGES = {
    "customers": {"customers": "events"},
    "kpis": {
        "kpis": "events",
        "kpis-merge": "kpi.partials",
        "kpis-judge": "kpi.closings",
        "brake-watch": "alerts",
        "brake": "brake.asked",
    },
    "security": {
        "security": "audit.events",
        "security-redemptions": "events",
        "security-leaks": "exposures",
        "security-groups": "audit.matches",
        "security-lines": "audit.lines",  # where [security] lines names a folder
    },
    "learning": {"learning": "examples"},
    "service": {"service": "events", "service-desk": "service.cases"},
    "abuse": {"abuse": "events", "abuse-judge": "sightings"},
}
READ_BY = {stage: topic for stages in STAGES.values() for stage, topic in stages.items()}
