"""Structured logs: one event a line, for people (console) or for machines (json), to stderr.

    setup("INFO", "json")
    log = structlog.get_logger("hivelog.broker")
    log.info("worker_started", worker="w1", slots=10)

In a program that only uses `hivelog.Client` nothing is set up: `as_library` then hands our lines to the
loggers `hivelog.*` of the standard library, which say nothing until the program wants them.

Values under a name that says secret are replaced, and passwords in URLs are cut out of every text.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer

_SECRET_NAMES = re.compile(
    r"(password|passwd|secret|token|authorization|cookie|(encryption|signing|data|api|private)_?keys?$)",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(r"([a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s/@]+@", re.IGNORECASE)
_ROOT = "hivelog"
_PLAIN_TYPES = (bool, int, float, type(None))


def setup(level: str = "INFO", format: str = "console", stream: TextIO | None = None) -> None:  # noqa: A002
    """Send structlog's and the standard library's records through the same processors.

    `level` and `format` are as LOG_LEVEL and LOG_FORMAT; `stream` is stderr unless given.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_formatter(format, handler.stream, shared))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Their INFO lines are a line a request or a statement; ours say the same once, with context.
    for noisy in ("httpx", "httpcore", "uvicorn.access", "psycopg.pool", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def as_library() -> None:
    """Print nothing that the program has not asked for, and leave its own structlog loggers as they are.

    Where structlog is set up, by the program or by `setup`, our lines go there.
    """
    if structlog.is_configured():
        return
    before = structlog.get_config()
    make = before["logger_factory"]

    def logger_of(*arguments: Any) -> Any:
        ours = bool(arguments) and str(arguments[0]).startswith(f"{_ROOT}.")
        return logging.getLogger(arguments[0]) if ours else make(*arguments)

    structlog.configure(logger_factory=logger_of, processors=[_to_standard_logging, *before["processors"]])
    logger = logging.getLogger(_ROOT)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())  # else WARNING and above go to stderr by themselves


def _to_standard_logging(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A processor: lines of ours end here, as `event name=value ...`."""
    if not isinstance(logger, logging.Logger):
        return event
    level = logging.getLevelNamesMapping()[method.upper()]
    if logger.isEnabledFor(level):
        exception, said = event.pop("exc_info", None), event.pop("event")
        more = (f"{name}={value!r}" for name, value in hide_secrets(logger, method, event).items())
        logger.log(level, "%s", " ".join((said, *more)), exc_info=exception)
    raise structlog.DropEvent


def hide_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor: what looks like a secret by its name or as a URL's password is not written."""
    for name, value in event.items():
        event[name] = _hide(name, value)
    return event


def _hide(name: str, value: Any) -> Any:
    if isinstance(value, _PLAIN_TYPES):
        return value
    if _SECRET_NAMES.search(name):
        return "***"
    if isinstance(value, dict):
        return {str(key): _hide(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_hide(name, inner) for inner in value]
    return _URL_PASSWORD.sub(r"\1:***@", str(value))


def _formatter(
    style: str, stream: TextIO, shared: list[structlog.typing.Processor]
) -> logging.Formatter:
    render: list[structlog.typing.Processor]
    if style == "json":
        render = [
            # Without the frames' local variables: these hold payloads and keys.
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            hide_secrets,
            structlog.processors.JSONRenderer(default=str, ensure_ascii=False),
        ]
    else:
        render = [
            structlog.processors.format_exc_info,
            hide_secrets,
            structlog.dev.ConsoleRenderer(colors=stream.isatty()),
        ]
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[remove, *render]
    )
