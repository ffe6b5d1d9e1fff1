"""Real servers started by us, for tests, the demo and benchmarks: Redis, Kafka, and a stand-in for Kafka."""

from operators.servers.kafka import KafkaServer, kafka_server
from operators.servers.kafka_libs import NoKafka, find_java, find_maven, why_no_kafka
from operators.servers.mock import MockKafka, mock_kafka
from operators.servers.process import ServerFailed, die_with_parent, free_port
from operators.servers.redis import RedisServer, redis_server

__all__ = [
    "KafkaServer",
    "MockKafka",
    "NoKafka",
    "RedisServer",
    "ServerFailed",
    "die_with_parent",
    "find_java",
    "find_maven",
    "free_port",
    "kafka_server",
    "mock_kafka",
    "redis_server",
    "why_no_kafka",
]
