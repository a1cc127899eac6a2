"""What a handler sees of its job: `ctx`."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Self

import structlog
from msgspec import Struct, field

from ..events import ids
from ..events.batch import Started
from ..events.types import JobSpec
from . import sandbox


class JobInfo(Struct, frozen=True, gc=False):
    """The job as its handler may read it; the payload comes as the handler's second argument."""

    id: str
    queue: str
    type: str
    priority: int
    max_retries: int
    current_retry: int
    timeout: int | None = None
    source: str | None = None
    correlation_id: str | None = None
    parent_id: str | None = None
    tags: tuple[str, ...] = field(default_factory=tuple)

    @classmethod
    def of(cls, job: Started, spec: JobSpec, queue: str) -> Self:
        return cls(
            id=ids.to_text(job.job),
            queue=queue,
            type=spec.type,
            priority=job.priority,
            max_retries=spec.max_retries,
            current_retry=job.retry,
            timeout=spec.timeout,
            source=spec.source,
            correlation_id=spec.correlation_id,
            parent_id=spec.parent_id,
            tags=spec.tags,
        )


class Progress(Struct, frozen=True, gc=False):
    percent: int
    message: str | None


class _Done:
    """`await ctx.progress(..)` reads well in async code; there is nothing to wait for."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        yield from ()


_DONE = _Done()


class JobContext:
    """Handed to every handler.

    `job` says which job this is, `attempt` which try (from 1), `state` what the worker's start-up hook
    made, `cancelled` whether somebody asked to stop: a long sync handler should look at it.
    """

    __slots__ = ("_describe", "_job", "_log", "_report", "attempt", "cancelled", "state", "token")

    def __init__(
        self,
        describe: Callable[[int], JobInfo],
        attempt: int,
        token: int,
        state: dict[str, Any],
        report: Callable[[int, Progress], None],
    ) -> None:
        self._describe = describe
        self._job: JobInfo | None = None
        self._log: Any = None
        self._report = report
        self.attempt = attempt
        self.token = token
        self.state = state
        self.cancelled = False

    @property
    def job(self) -> JobInfo:
        if self._job is None:
            self._job = self._describe(self.token)
        return self._job

    @property
    def log(self) -> Any:
        """A structlog logger that names job, type and attempt in every line."""
        if self._log is None and sandbox.active is not None:
            self._log = sandbox.SilentLog()
        if self._log is None:
            job = self.job
            self._log = structlog.get_logger("job").bind(job=job.id, type=job.type, attempt=self.attempt)
        return self._log

    def progress(self, percent: float, message: str | None = None) -> _Done:
        """Say how far the job is (0-100). Cheap at any rate: at most one event a second is written."""
        if not 0 <= percent <= 100:
            raise ValueError(f"progress is a percentage from 0 to 100, not {percent!r}")
        self._report(self.token, Progress(int(percent), message[:500] if message else None))
        return _DONE


