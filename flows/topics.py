"""The topics, by the names the flows use; settings may put a prefix before them."""

SOURCES = ("pos.events", "app.events")
TOPICS = (
    *SOURCES,
    "audit.events",
    "events",
    "identities",
    "forgotten",
    "examples",
    "kpi.partials",
    "kpi.minutes",
    "coupons",
    "deliveries",
    "decisions",
    "alerts",
    "sightings",
    "reviews",
    "dead-letters",
)
WRITTEN = TOPICS[3:]  # by Brewline itself
COMPACTED = ("identities", "forgotten", "reviews")  # only the latest record of a key matters
KEYED = ("events", "audit.events", "kpi.partials", "examples", "sightings")  # whose keys must stay in their partitions
