"""Hivelog: a job queue that keeps its whole history.

    from hivelog import Client, JobContext, handler

Most of it is imported when it is first asked for, so that `import hivelog` costs little.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from .broker.registry import registry
from .version import __version__

if TYPE_CHECKING:
    from .broker.context import JobContext
    from .client import Client, Job
    from .client.errors import (
        AlreadyFinished,
        Conflict,
        Disabled,
        EncryptionRefused,
        EpochChanged,
        Forbidden,
        HivelogError,
        IdempotencyMismatch,
        InvalidField,
        InvalidJson,
        NotFinished,
        NotFound,
        Overloaded,
        PastRetention,
        ProjectionBehind,
        TooLarge,
        Unauthenticated,
        Unavailable,
        UnknownQueue,
        WaitTimeout,
    )
    from .client.sync import SyncClient

handler = registry.handler
on_startup = registry.on_startup
on_shutdown = registry.on_shutdown
middleware = registry.around

_ERRORS: Final = (
    "AlreadyFinished", "Conflict", "Disabled", "EncryptionRefused", "EpochChanged", "Forbidden",
    "HivelogError", "IdempotencyMismatch", "InvalidField", "InvalidJson", "NotFinished", "NotFound",
    "Overloaded", "PastRetention", "ProjectionBehind", "TooLarge", "Unauthenticated", "Unavailable",
    "UnknownQueue", "WaitTimeout",
)  # fmt: skip
_HOMES: Final = {
    "Client": ".client", "Job": ".client", "JobContext": ".broker.context", "SyncClient": ".client.sync",
    **dict.fromkeys(_ERRORS, ".client.errors"),
}  # fmt: skip

__all__ = [
    "AlreadyFinished", "Client", "Conflict", "Disabled", "EncryptionRefused", "EpochChanged", "Forbidden",
    "HivelogError", "IdempotencyMismatch", "InvalidField", "InvalidJson", "Job", "JobContext",
    "NotFinished", "NotFound", "Overloaded", "PastRetention", "ProjectionBehind", "SyncClient", "TooLarge",
    "Unauthenticated", "Unavailable", "UnknownQueue", "WaitTimeout", "__version__", "handler",
    "middleware", "on_shutdown", "on_startup",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
