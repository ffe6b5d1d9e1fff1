"""The API as OpenAPI 3.1 describes it, made of the endpoints themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from board.endpoint import Endpoint

PROBLEM = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "status": {"type": "integer"}, "detail": {"type": "string"}},
    "required": ["title", "status", "detail"],
}
PROBLEMS = {
    "400": "It cannot be done; `detail` says why",
    "401": "Not signed in",
    "403": "Not for this role, or a purpose is missing",
    "404": "Unknown",
    "409": "It stands against something else",
    "413": "Too long",
    "422": "A parameter is missing or does not fit",
    "429": "Too many requests",
    "503": "Redis or Kafka does not answer, or no flow has run yet",
}
PURPOSE = {
    "name": "x-purpose",
    "in": "header",
    "required": True,
    "description": "What a customer's data is opened for; it is noted in the audit trail.",
    "schema": {"type": "string", "minLength": 3, "maxLength": 128},
}


def describe(endpoints: Iterable[Endpoint], version: str, prefix: str) -> dict[str, Any]:
    endpoints = list(endpoints)
    shapes = [shape for e in endpoints for shape in (e.asked, e.said, e.answer) if shape is not None]
    schemas, components = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    schema = dict(zip(map(repr, shapes), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(prefix + endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, schema, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Brewline",
            "version": version,
            "description": "Times are epoch milliseconds, amounts integer cents. Lists are paged by `limit`, `after`."
            " GET answers carry an ETag; what goes wrong is problem details (RFC 9457).",
        },
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": PROBLEM},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "brewline"},
            },
        },
        "security": [{"token": []}, {"session": []}],
    }


def _operation(endpoint: Endpoint, schema: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    told = {"application/json": {"schema": schema[repr(endpoint.answer)]}}
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation: dict[str, Any] = {
        "operationId": endpoint.name.replace(".", "_"),
        "summary": endpoint.summary,
        "tags": [endpoint.name.partition(".")[0]],
        "x-roles": sorted(endpoint.roles),
        "parameters": _parameters(endpoint, schema, components) + ([PURPOSE] if endpoint.personal else []),
        "responses": {
            "200": {"description": "What was asked for", "content": told},
            **({"304": {"description": "You have it already"}} if endpoint.method == "GET" else {}),
            **{status: {"description": text, "content": problem} for status, text in PROBLEMS.items()},
        },
    }
    if endpoint.said:
        body = {"application/json": {"schema": schema[repr(endpoint.said)]}}
        operation["requestBody"] = {"required": True, "content": body}
    return operation


def _parameters(endpoint: Endpoint, schema: dict[str, Any], components: dict[str, Any]) -> list[dict[str, Any]]:
    shape = components[schema[repr(endpoint.asked)]["$ref"].rpartition("/")[2]]
    in_path = set(re.findall(r"\{(\w+)(?::\w+)?\}", endpoint.path))
    return [
        {
            "name": name,
            "in": "path" if name in in_path else "query",
            "required": name in in_path or name in shape.get("required", ()),
            "schema": of,
        }
        for name, of in shape.get("properties", {}).items()
    ]
