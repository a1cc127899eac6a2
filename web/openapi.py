"""`/openapi.json`, made from the very table that routes requests and the Structs that decode them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final

import msgspec

from ..version import __version__
from .answers import Answer, json
from .endpoint import Endpoint
from .errors import STATUS
from .requests import Call

_NAMES: Final = re.compile(r"\{(\w+)\}")
_ERROR: Final = {
    "description": "Refused.",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}
_ERROR_SCHEMA: Final = {
    "type": "object",
    "required": ["error", "code", "detail"],
    "properties": {
        "error": {"type": "string"},
        "code": {"type": "string", "enum": sorted(STATUS)},
        "detail": {"type": "object"},
    },
}


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these endpoints."""
    types = _types(endpoints)
    schemas, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    by_type = dict(zip(map(repr, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        if endpoint.tag != "pages":
            paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Hivelog", "version": __version__,
            "description": "A job queue that keeps its whole history. Times are RFC 3339 UTC; tokens, ids of "
            "the feed and cursors are opaque texts; `position` is a number.",
        },
        "servers": [{"url": "."}],
        "security": [{"token": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": _ERROR_SCHEMA},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "hivelog_session"},
            },
        },
    }  # fmt: skip


def _types(endpoints: Iterable[Endpoint]) -> list[Any]:
    found: dict[str, Any] = {}
    for endpoint in endpoints:
        for kind in (endpoint.body, endpoint.answer):
            if kind is not None:
                found.setdefault(repr(kind), kind)
    return list(found.values())


def _operation(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "tags": [endpoint.tag],
        "operationId": _identifier(endpoint),
        "parameters": _parameters(endpoint),
        "responses": {
            str(endpoint.status): _content(endpoint.answer, schemas, "Done."),
            "default": _ERROR,
        },
    }
    if endpoint.body is not None:
        operation["requestBody"] = _content(endpoint.body, schemas, "")
        del operation["requestBody"]["description"]
    if endpoint.scope is None:
        operation["security"] = []
    else:
        operation["description"] = f"Needs the scope `{endpoint.scope}`."
    return operation


def _identifier(endpoint: Endpoint) -> str:
    words = re.findall(r"\w+", endpoint.path) or ["home"]
    return "_".join([endpoint.method.lower(), *words])


def _content(kind: Any, schemas: dict[str, Any], description: str) -> dict[str, Any]:
    if kind is None:
        return {"description": description}
    return {"description": description, "content": {"application/json": {"schema": schemas[repr(kind)]}}}


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    text = {"type": "string"}
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": text}
        for name in _NAMES.findall(endpoint.path)
    ]
    found += [
        {"name": name, "in": "query", "description": said, "schema": text}
        for name, said in endpoint.query.items()
    ]
    if endpoint.method == "GET" and endpoint.scope is not None and endpoint.path != "/queue/status":
        said = "Wait, at most 5 s, until the answer includes this position."
        found.append({"name": "after_position", "in": "query", "description": said, "schema": text})
    if endpoint.path in ("/queue/{queue}/jobs", "/jobs") and endpoint.method == "POST":
        said = "Makes a repeated call answer what the first one did."
        found.append({"name": "Idempotency-Key", "in": "header", "description": said, "schema": text})
    return found


@cache
def _made() -> dict[str, Any]:
    from .routes import ENDPOINTS as ALL

    return document(ALL)


async def openapi(call: Call) -> Answer:
    return json(_made())


ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/openapi.json", run=openapi, scope="read", tag="system",
        summary="This API as an OpenAPI document.",
    ),
)  # fmt: skip
