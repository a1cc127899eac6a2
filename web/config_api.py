"""The system's configuration."""

from __future__ import annotations

from typing import Any, Final

from ..broker.configuration import ALWAYS_TRUE, SystemConfig
from ..broker.errors import Rejected
from .answers import Answer, json
from .endpoint import Endpoint
from .errors import invalid
from .requests import Call, object_of


async def read(call: Call) -> Answer:
    call.allow()
    return json(await call.services.engine.configuration.current())


async def change(call: Call) -> Answer:
    changes = object_of(await call.body())
    try:
        return json(await call.services.engine.configuration.change(changes, actor=call.caller.actor))
    except Rejected as refusal:
        # The mission's two switches: a well-formed wish that cannot be granted, hence 400 and not 422.
        if (field := refusal.detail.get("field")) in ALWAYS_TRUE:
            raise invalid(field, refusal.detail["reason"], status=400) from None
        raise


ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/config", run=read, scope="read", tag="system", answer=SystemConfig,
        summary="The system's configuration.",
    ),
    Endpoint(
        method="PUT", path="/config", run=change, scope="admin", tag="system", answer=SystemConfig,
        body=dict[str, Any], summary="Change the named settings; live everywhere within two seconds.",
    ),
)  # fmt: skip
