"""Errors that a command foresees, in one plain line."""

from __future__ import annotations

from confluent_kafka import KafkaException
from redis.exceptions import RedisError

from operators.kafka import Unreachable
from operators.redis_link import REFUSED, reason

FORESEEN = (ValueError, Unreachable, RedisError, KafkaException, OSError)


def line_of(error: Exception) -> str:
    """Of one of FORESEEN."""
    if isinstance(error, REFUSED):
        return f"Redis refuses us ({error}): see [redis] user, password_file and its ACL"
    if isinstance(error, RedisError):
        return f"Redis answered with an error ({reason(error)}): see its log, and `brewline doctor`"
    if isinstance(error, KafkaException):
        return f"Kafka answered with an error ({error.args[0].str()}): see its log, and `brewline doctor`"
    if isinstance(error, OSError):
        return f"{error.filename or 'the output'}: {error.strerror or error}"
    return f"{error}"
