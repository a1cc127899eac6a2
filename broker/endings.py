"""From what an attempt came to, to the event that ends its lease."""

from __future__ import annotations

from functools import lru_cache

import msgspec

from ..events import vault
from ..events.batch import End, Started
from ..events.fingerprint import failure
from ..events.job import Decision, EndAttempt, JobState, decide
from ..events.types import JobSpec
from ..events.vault import JobKey, Vault, VaultError
from .attempt import Ending, Failure, Success


@lru_cache(4096)
def spec_of(encoded: bytes) -> JobSpec:
    """A live row's spec. Most jobs share theirs with many others, so decoding is mostly a look-up."""
    return msgspec.json.decode(encoded, type=JobSpec)


def key_of(sealer: Vault, job: Started) -> JobKey:
    """The right to the job's bodies. Raises KeyMissing or Tampered; a job erased meanwhile has no salt."""
    return sealer.key_of(job.job, job.salt or b"", job.kek, job.wrapped)


def end_of(job: Started, key: JobKey, ending: Ending, *, cancelling: bool, now: int) -> End:
    """The end to submit. `now` is the database's time, from which a retry's delay counts."""
    if isinstance(ending, Success):
        return _completed(job, key, ending)
    command = _command(job, ending, cancelling, payload_of(job, key))
    end = decided(job, command, cancelling=cancelling, now=now)
    sealed = key.seal(vault.ERROR, ending.text.encode("utf-8", "replace"))
    end.slot, end.body, end.size, end.digest = vault.ERROR, sealed.body, sealed.size, sealed.digest
    return end


def unwritable(error: BaseException) -> Failure:
    """What an attempt came to whose end the database refused."""
    text = f"the database refused what the attempt left: {type(error).__name__}"
    return Failure("result", type(error).__name__, text, text)


def plain_end_of(job: Started, key: JobKey, ending: Ending, *, cancelling: bool, now: int) -> End:
    """The end without a body, which is what may be in the way."""
    end = end_of(job, key, ending, cancelling=cancelling, now=now)
    end.slot = end.body = end.size = end.digest = None
    return end


def released(job: Started, reason: str, *, cancelling: bool, now: int) -> End:
    """Give the job back; the attempt does not count. One that is being cancelled ends instead."""
    return decided(job, EndAttempt(job.token, "released", reason=reason), cancelling=cancelling, now=now)


def _completed(job: Started, key: JobKey, ending: Success) -> End:
    if ending.result is None:
        return End(job.job, job.token, "completed")
    sealed = key.seal(vault.RESULT, ending.result)
    return End(
        job.job, job.token, "completed",
        size=sealed.size, digest=sealed.digest, slot=vault.RESULT, body=sealed.body,
    )  # fmt: skip


def payload_of(job: Started, key: JobKey) -> bytes:
    """Empty where it cannot be opened."""
    try:
        return b"" if job.body is None else key.open(vault.PAYLOAD, job.body)
    except VaultError:
        return b""


def _command(job: Started, ending: Failure, cancelling: bool, payload: bytes) -> EndAttempt:
    described = failure(spec_of(job.spec).type, ending.error_type, ending.message, payload)
    if ending.cause == "timeout":
        return EndAttempt(job.token, "timeout", failure=described)
    if ending.cause == "cancelled" and cancelling:
        return EndAttempt(job.token, "cancelled", failure=described)
    cause = "error" if ending.cause == "cancelled" else ending.cause
    return EndAttempt(job.token, "failed", cause=cause, failure=described)


def decided(job: Started, command: EndAttempt, *, cancelling: bool, now: int) -> End:
    """Let the pure core decide. The lease is ours, so it refuses nothing here; SQL guards the rest."""
    answer = decide(_state(job, cancelling), command, now)
    assert isinstance(answer, Decision), answer
    return End(
        job.job, job.token, answer.event, due=answer.due_at, retry=answer.retry, data=answer.encoded
    )  # fmt: skip


def _state(job: Started, cancelling: bool) -> JobState:
    return JobState(
        id=job.job,
        queue=job.queue,
        spec=spec_of(job.spec),
        status="processing",
        version=0,
        position=job.token,
        enqueued=0,
        created_at=0,
        size=0,
        correlation=None,
        priority=job.priority,
        retry=job.retry,
        attempt=job.attempt,
        token=job.token,
        session=job.session,
        cancelling=cancelling,
    )
