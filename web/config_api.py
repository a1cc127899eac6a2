"""The system's configuration."""

from __future__ import annotations

from typing import Any, Final

from ..broker.configuration import SystemConfig
from .answers import Answer, json
from .endpoint import Endpoint
from .requests import Call, object_of


async def read(call: Call) -> Answer:
    call.allow()
    return json(await call.services.engine.configuration.current())


async def change(call: Call) -> Answer:
    changes = object_of(await call.body())
    return json(await call.services.engine.configuration.change(changes, actor=call.caller.actor))


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
