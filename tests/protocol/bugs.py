"""Every guard of the protocol, and what becomes of the system without it.

A guard of the append is left out in its twin (`off`), one of a Redis script in the script's own text (`edits`),
one of a process in its own code (`patches`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hivelog import sql
from hivelog.broker import claims, feed
from hivelog.broker.pulse import Pulse
from hivelog.broker.watch import Watch
from hivelog.events import epoch
from hivelog.events.batch import Part
from hivelog.events.memory import Memory

from .checker import Violation
from .valkey import Edit
from .world import simulate

Patch = tuple[Any, str, Callable[..., Any]]


@dataclass(frozen=True)
class Bug:
    """`finds`: the rules of which one must be found broken."""

    guard: str
    finds: frozenset[str]
    off: frozenset[str] = frozenset()
    edits: tuple[Edit, ...] = ()
    patches: tuple[Patch, ...] = field(default=(), repr=False)
    favours: tuple[str, ...] = ()  # the faults that it takes
    seed: int = 1  # tried first: one that finds it; renewed when histories have changed, else a test takes a minute

    @contextmanager
    def injected(self) -> Iterator[None]:
        kept = [(owner, name, getattr(owner, name)) for owner, name, _ in self.patches]
        for owner, name, value in self.patches:
            setattr(owner, name, value)
        try:
            yield
        finally:
            for owner, name, value in kept:
                setattr(owner, name, value)


def _sql(guard: str, off: str, *finds: str, **more: Any) -> Bug:
    return Bug(guard, frozenset(finds), off=frozenset({off}), **more)


def _lua(guard: str, before: str, after: str, *finds: str, **more: Any) -> Bug:
    return Bug(guard, frozenset(finds), edits=((before.encode(), after.encode()),), **more)


def _code(guard: str, patches: tuple[Patch, ...], *finds: str, **more: Any) -> Bug:
    return Bug(guard, frozenset(finds), patches=patches, **more)


def _all_time_counts(self: Watch, now: int, seen: Mapping[int, object]) -> dict[int, int]:
    return dict.fromkeys(seen, 10**9)


async def _no_sweep(*_: Any) -> int:
    return 0


def _nothing(*_: Any) -> None:
    return None


def _always(*_: Any) -> bool:
    return True


async def _never_cut(conn: Any, _: Memory) -> epoch.End:
    head, number = (await (await conn.execute(sql.load("head"))).fetchone())[:2]
    return epoch.End(number, head, "simulated", cut=False)


async def _against_the_present(conn: Any, memory: Memory) -> epoch.End:
    """What others have told meanwhile is held against an answer that is older."""
    end = await _never_cut(conn, memory)
    return epoch.End(end.epoch, end.head, end.log, cut=memory.seen > (end.epoch, end.head))


_LOG, _REDIS = "the log", "Redis is the log"
_LIVENESS = "every job ends"
_FROZEN = ("freeze_worker", "slow")
_COPIED = ("backup", "copy_put_back", "slow", "freeze")
_SWEPT = ("kill", "slow", "database_restarts")

BUGS = (
    _sql("a token ends its own lease only", "token", "one end a token", favours=_FROZEN, seed=33),
    _sql("only a living session starts jobs", "session", _LOG, seed=7,
         favours=("freeze_worker", "slow", "database_restarts")),
    _sql("a move names the version it saw", "version", _LOG, _REDIS, "the fold", "fold and model"),
    _sql("nobody is lost who has just beaten", "cutoff", _LOG, favours=_FROZEN, seed=5),
    _sql("a paused queue starts nothing", "paused", _LOG),
    _sql("max_workers is exact", "limit", _LOG),
    _sql("an expired job does not start", "expired", _LOG, favours=("freeze",), seed=6),
    _sql("a job asked to stop is not sent round again", "cancelling", _LOG, "the fold"),
    _sql("a key makes one job", "idempotency", "one job a key", seed=191),
    _sql("a lost answer is looked up by its batch id", "recover",
         "a repeated call is never refused by the server", seed=1),
    _sql("a batch that the log was asked for in vain never comes", "void",
         "a repeated call is never refused by the server", _LOG, seed=4),
    _lua("a feed message waits for the one before it", "elseif message.from > position + 1 then",
         "elseif false then", _REDIS, _LIVENESS),
    _lua("a feed message is applied once", "elseif message.to <= position then", "elseif false then", _REDIS,
         seed=15),
    _lua("a message of another epoch is not applied", "if message.epoch ~= epoch then return",
         "if false then return", _REDIS, _LIVENESS,
         favours=("tail_lost", "backup", "redis_flushed"), seed=30),
    _lua("ids go back at the checkpoint of their claim", "if held[1] ~= at[1] then", "if false then", _REDIS,
         favours=("kill", "redis_flushed"), seed=182),
    _lua("a sweep's answer is not older than Redis", "if tonumber(at[2]) > sweep.head and not sweep.force then",
         "if false then", _REDIS, favours=_SWEPT, seed=190),
    _code("a log that was put back to a copy begins a new epoch", ((epoch, "end_of_log", _never_cut),),
          "who knows more of the log does not append to it", favours=_COPIED),
    _code("what was decided in another epoch is turned away", ((Part, "fits", _always),), _LOG, _REDIS,
          "an end by its own session", "no acknowledged job is lost", favours=_COPIED, seed=3),
    _code("a log is held against what was known before it was asked", ((epoch, "end_of_log", _against_the_present),),
          "an epoch ends only when its log lost something", favours=("slow", "database_restarts"), seed=2),
    _code("only time that was observed counts", ((Watch, "look", _all_time_counts),),
          "a living session is never lost", _LOG, favours=("database_restarts",), seed=7),
    _code("claims that nobody settles are swept", ((feed, "sweep", _no_sweep), (claims, "sweep", _no_sweep)),
          _LIVENESS, _REDIS, favours=("kill", "slow"), seed=14),
    _code("a lease that its session does not know is given back", ((Pulse, "_give_back", _nothing),), _LIVENESS,
          seed=17),
)  # fmt: skip

# The rarest bug is in one history of two hundred: enough of them that none is missed by bad luck.
SEEDS, STEPS = 300, 15_000


@dataclass(frozen=True)
class Found:
    """Which rule broke, by which seed, after how many steps over all seeds tried."""

    rule: str
    seed: int
    steps: int


def found_by(bug: Bug) -> Found | None:
    """Try the bug's own seed, then others; None if none of SEEDS histories of STEPS steps finds it."""
    steps = 0
    with bug.injected():
        for seed in (bug.seed, *(n for n in range(1, SEEDS) if n != bug.seed)):
            try:
                world = simulate(
                    seed, STEPS, off=bug.off, edits=bug.edits, favours=bug.favours
                )  # fmt: skip
                steps += world.loop.steps
            except Violation as found:
                return Found(found.rule, seed, steps + found.steps)
    return None
