"""The topics, by the names the flows use; settings may put a prefix before them."""

SOURCES = ("pos.events", "app.events")
TOPICS = (
    *SOURCES,
    "audit.events",
    "audit.lines",
    "events",
    "identities",
    "forgotten",
    "weather",
    "store.load",
    "examples",
    "kpi.partials",
    "kpi.closings",
    "kpi.minutes",
    "service.cases",
    "tickets",
    "coupons",
    "redemptions",
    "deliveries",
    "decisions",
    "alerts",
    "alert.words",
    "notices",
    "brake.asked",
    "brakes",
    "exposures",
    "audit.matches",
    "sightings",
    "reviews",
    "dead-letters",
)
WRITTEN = TOPICS[4:]  # by Brewline itself
COMPACTED = (
    "identities",
    "forgotten",
    "weather",
    "store.load",
    "reviews",
    "brakes",
)  # only the latest record of a key matters
KEYED = (  # whose keys must stay in their partitions
    "events",
    "audit.events",
    "kpi.partials",
    "kpi.closings",
    "examples",
    "service.cases",
    "exposures",
    "audit.matches",
    "sightings",
    "brake.asked",
)
GATHER_MS = {"kpis": 500, "kpis-merge": 500, "kpis-judge": 1_000, "brake": 100, "brake-watch": 100}  # costly batches
CACHE_MB = {f"security{stage}": 64 for stage in ("", "-groups", "-leaks")}  # for records: each actor comes seldom
