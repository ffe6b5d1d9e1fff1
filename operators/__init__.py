"""The only adapters to the outside: Kafka, Redis, the partition step, the relay, sinks, and servers of our own."""
