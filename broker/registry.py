"""Which code runs which job type: the `handler` decorator and what it collects.

A handler takes `(ctx, payload)`. `async def` runs on the worker's loop, `def` in a thread, and either in a
child process of its own with `isolation="process"` (it can be killed). A payload annotated with a msgspec
Struct is decoded and validated first, and its JSON Schema is published by the worker.
"""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

Isolation = Literal["loop", "thread", "process"]
Function = Callable[..., Any]
F = TypeVar("F", bound=Function)


class Handler(Struct, frozen=True):
    """One job type and the code for it. `timeout` (s) bounds an attempt beside the job's own; `memory_mib`
    the memory of its child process."""

    type: str
    function: Function
    isolation: Isolation
    queue: str | None
    timeout: float | None
    payload_type: Any
    decoder: msgspec.json.Decoder[Any]
    memory_mib: int | None = None

    def schema(self) -> dict[str, Any] | None:
        """JSON Schema of the payload, None when it takes anything."""
        if self.payload_type in (Any, dict):
            return None
        return msgspec.json.schema(self.payload_type)


class HandlerError(ValueError):
    """A handler that cannot be registered; the text says what to change."""


class Registry:
    """Handlers by type, and the worker's hooks."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.startup: list[Function] = []
        self.shutdown: list[Function] = []
        self.middleware: list[Function] = []

    def handler(
        self,
        type: str,  # noqa: A002 - the field's word
        *,
        queue: str | None = None,
        timeout: float | None = None,
        isolation: Literal["process"] | None = None,
        memory_mib: int | None = None,
    ) -> Callable[[F], F]:
        """Register the decorated function for a job type; the function itself stays as it was."""

        def register(function: F) -> F:
            if (known := self.handlers.get(type)) is not None and not _same(known.function, function):
                both = f"{_where(known.function)} and {_where(function)}"
                raise HandlerError(f"two handlers for {type!r}: {both}")
            self.handlers[type] = _make(type, function, queue, timeout, isolation, memory_mib)
            return function

        return register

    def on_startup(self, function: F) -> F:
        """Run `function(state)` when the worker starts; what it puts into the dict is `ctx.state`."""
        self.startup.append(function)
        return function

    def on_shutdown(self, function: F) -> F:
        """Run `function(state)` when the worker stops, after its last job."""
        self.shutdown.append(function)
        return function

    def around(self, function: F) -> F:
        """Middleware: `async def f(ctx, payload, call_next)`, first registered = outermost."""
        self.middleware.append(function)
        return function

    def load(self, modules: list[str]) -> None:
        """Import the modules that hold handlers. Raises HandlerError naming the one that fails."""
        for name in modules:
            try:
                importlib.import_module(name)
            except ImportError as error:
                raise HandlerError(f"cannot import handlers from {name!r}: {error}") from error


def _make(
    name: str,
    function: Function,
    queue: str | None,
    timeout: float | None,
    isolation: str | None,
    memory_mib: int | None,
) -> Handler:
    if isolation not in (None, "process"):
        raise HandlerError(f"{_where(function)}: isolation is None or 'process', not {isolation!r}")
    if timeout is not None and timeout <= 0:
        raise HandlerError(f"{_where(function)}: timeout must be more than 0 seconds")
    if memory_mib is not None and (isolation != "process" or memory_mib < 1):
        raise HandlerError(f"{_where(function)}: memory_mib is a whole number, with isolation='process' only")
    wanted = _payload_type(function)
    where: Isolation = (
        "process" if isolation == "process" else "loop" if inspect.iscoroutinefunction(function) else "thread"
    )
    try:
        decoder = msgspec.json.Decoder(wanted)
    except TypeError as error:
        raise HandlerError(f"{_where(function)}: payload cannot be a {wanted!r}: {error}") from error
    return Handler(name, function, where, queue, timeout, wanted, decoder, memory_mib)


def _payload_type(function: Function) -> Any:
    """The annotation of the second parameter; anything when there is none."""
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) < 2:
        raise HandlerError(f"{_where(function)}: a handler takes (ctx, payload)")
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise HandlerError(f"{_where(function)}: unknown annotation: {error}") from error
    return hints.get(parameters[1].name, Any)


def _same(one: Function, other: Function) -> bool:
    """The same definition, imported again (a reload)."""
    return _where(one) == _where(other)


def _where(function: Function) -> str:
    return f"{function.__module__}.{function.__qualname__}"


# What the decorators of the package's face fill; a worker reads it after importing its modules.
registry = Registry()
