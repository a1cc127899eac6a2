"""`GET /fields`: names of payload fields that begin so."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from .answers import Answer, json
from .endpoint import Endpoint
from .field_names import Field
from .job_filter import listed
from .past import AT, moment_of
from .requests import Call


class Fields(Struct):
    """The most frequent first."""

    fields: list[Field]


async def fields(call: Call) -> Answer:
    call.allow("prefix", "queue", "limit", "at")
    prefix = (call.text("prefix") or "").casefold()
    limit = call.number("limit", 50, 1, 500)
    moment = await moment_of(call)
    queues = await listed(call, moment)
    services = call.services
    async with services.pool.connection() as connection:
        found = await services.field_names.of(connection, services.vault, queues, moment)
    return json(Fields([field for field in found if field.path.casefold().startswith(prefix)][:limit]))


ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/fields", run=fields, scope="read", tag="jobs", answer=Fields,
        summary="Names of payload fields, as the newest jobs have them, for `q`.",
        query={"prefix": "How it begins.", "queue": "A queue's name.", "limit": "1 to 500.", "at": AT},
    ),
)  # fmt: skip
