"""`GET /workers/schemas`: the JSON Schemas of payloads that living workers published, for forms."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from .answers import Answer, json
from .endpoint import Endpoint
from .errors import unknown_queue
from .requests import Call


class SchemaRow(Struct):
    """`queues` are those whose workers published it. Two releases of a worker: two rows, the newest first."""

    type: str
    queues: list[str]
    schema: Any


class SchemaList(Struct):
    schemas: list[SchemaRow]


async def schemas(call: Call) -> Answer:
    call.allow("queue", "type")
    name, kind = call.text("queue"), call.text("type")
    if name is not None and (not call.caller.sees(name) or await call.services.names.queue(name) is None):
        raise unknown_queue(name)
    rows = []
    for type_, published in await call.services.schemas.published():
        queues = sorted(q for q in published.queues if call.caller.sees(q) and name in (None, q))
        if queues and kind in (None, type_):
            rows.append(SchemaRow(type_, queues, published.schema))
    return json(SchemaList(rows))


ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/workers/schemas", run=schemas, scope="read", tag="workers", answer=SchemaList,
        summary="The JSON Schemas of payloads that living workers published.",
        query={"queue": "A queue's name.", "type": "A job type."},
    ),
)  # fmt: skip
