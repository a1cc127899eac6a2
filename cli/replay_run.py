"""Counts what a replay means, asks, and runs it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from . import output
from .api import Target, account, database
from .errors import FAILED, MISUSED, CommandError
from .replay_print import print_done, print_plan, print_shadow
from .worker import importable_from_here

if TYPE_CHECKING:
    from ..broker.action_reads import Action
    from ..broker.engine import Engine
    from ..replay.action import Plan, Replays
    from ..replay.journal import Journal
    from ..replay.pace import Pace
    from ..settings import Settings


@dataclass(frozen=True)
class Asked:
    """What the options said; `way` None: count for all three."""

    way: str | None
    resume: str | None
    filter: dict[str, Any]
    q: str | None
    states: str | None
    rate: str | None
    handlers: tuple[str, ...]
    ignored: tuple[str, ...]
    slower: float
    concurrency: int
    dry_run: bool
    yes: bool
    as_json: bool


def run(asked: Asked, data: Any) -> int:
    import uvloop

    from ..replay.action import WAYS

    if asked.way is not None and asked.way not in WAYS:
        raise CommandError(f"--as is one of {', '.join(WAYS)}, not {asked.way!r}", status=MISUSED)
    pace = _pace(asked.rate)
    with database(Target(None, None, data)) as settings:
        status = uvloop.run(_run(settings, asked, pace))
    _leave_stuck_handlers(status)
    return status


def _pace(rate: str | None) -> Pace:
    from ..replay import pace

    try:
        return pace.Pace(None if rate is None else pace.rate(rate))
    except ValueError as error:
        raise CommandError(f"--rate {error}", status=MISUSED) from None


async def _run(settings: Settings, asked: Asked, pace: Pace) -> int:
    from ..broker.engine import Engine
    from ..replay.action import Replays

    async with Engine(settings, name="replay", pool_size=4) as engine:
        replays = Replays(engine)
        await _known(engine, asked)
        if asked.resume is not None:
            action = await replays.unfinished(asked.resume)
            return await _go(engine, replays, action, asked, pace)
        if asked.way is None:
            return await _count_all(replays, asked)
        if asked.way == "shadow":
            _load(settings, asked)  # before anybody is asked
        plan = await _plan(replays, asked.way, asked)
        if asked.dry_run or not plan.matched:
            _show([plan], asked)
            return 0
        if not _agreed(plan, asked):
            return FAILED
        action = await replays.start(plan, actor=f"user:{account()}")
        return await _go(engine, replays, action, asked, pace)


async def _known(engine: Engine, asked: Asked) -> None:
    queue = asked.filter.get("queue")
    if queue is not None and await engine.names.queue(queue) is None:
        raise CommandError(f"there is no queue {queue!r}", "`hivelog queues` lists them")


async def _plan(replays: Replays, way: str, asked: Asked) -> Plan:
    named = None if asked.states is None else frozenset(s.strip() for s in asked.states.split(","))
    return await replays.plan(way, asked.filter, q=asked.q, named=named)


async def _count_all(replays: Replays, asked: Asked) -> int:
    """Nobody said how: what each way would mean."""
    from ..broker.errors import Rejected
    from ..replay.action import WAYS

    plans = []
    for way in WAYS:
        with contextlib.suppress(Rejected):  # a state that this way cannot take
            plans.append(await _plan(replays, way, asked))
    _show(plans, asked)
    return 0


def _show(plans: list[Plan], asked: Asked) -> None:
    if asked.as_json:
        output.print_json({"matched": {plan.way: plan.matched for plan in plans}})
    else:
        print_plan(plans)


def _agreed(plan: Plan, asked: Asked) -> bool:
    if asked.yes or asked.as_json:
        return True
    print_plan([plan], to_stderr=True)
    return typer.confirm(f"{plan.way.capitalize()} them?", err=True)


async def _go(engine: Engine, replays: Replays, action: Action, asked: Asked, pace: Pace) -> int:
    from ..replay import redrive

    with _resumable(action), output.progress(action.action.capitalize(), quiet=asked.as_json) as report:
        if action.action == "shadow":
            return await _shadow(engine, replays, action, asked, pace, report)
        work = redrive.redrive if action.action == "redrive" else redrive.copy
        done = await work(engine, replays, action, pace, report)
    if asked.as_json:
        output.print_json(done)
    else:
        print_done(done)
    return 0


@contextlib.contextmanager
def _resumable(action: Action) -> Iterator[None]:
    """Say how to go on, before and whatever stops it: who is killed can say nothing."""
    output.note(f"[dim]action {action.action_id}[/]")
    try:
        yield
    except BaseException:
        output.note(f"go on with: hivelog replay --resume {action.action_id}")
        raise


async def _shadow(
    engine: Engine, replays: Replays, action: Action, asked: Asked, pace: Pace, report: output.Report
) -> int:
    from ..broker.registry import registry
    from ..replay.shadow import Options, Shadow

    _load(engine.settings, asked)
    options = Options(asked.concurrency, asked.slower, asked.ignored)
    with contextlib.closing(_journal(engine.settings, action, asked)) as journal:
        found = await Shadow(engine, replays, action, registry, options, journal).run(pace, report)
    if asked.as_json:
        output.print_json(found)
    else:
        print_shadow(found)
    return 0 if found.clean else FAILED


def _journal(settings: Settings, action: Action, asked: Asked) -> Journal:
    from ..replay.journal import Journal

    if asked.resume is None:
        return Journal.begin(settings.data, action.action_id)
    try:
        return Journal.resume(settings.data, action.action_id)
    except FileNotFoundError as error:
        hint = "go on where it began, or begin another"
        raise CommandError(f"there is no journal of it in {settings.data}", hint) from error


def _load(settings: Settings, asked: Asked) -> None:
    from ..broker.registry import registry
    from ..replay import shadow

    modules = asked.handlers or settings.handlers
    if not modules:
        hint = "give --handlers MODULE, or set HIVELOG_HANDLERS"
        raise CommandError("no handlers", hint, status=MISUSED)
    importable_from_here()
    shadow.load(registry, modules)


def _leave_stuck_handlers(status: int) -> None:
    """A thread that outlived its timeout cannot be ended, and Python would wait for it."""
    from ..broker.attempt import stuck_threads

    if stuck := len(stuck_threads()):
        print(f"hivelog replay: left {stuck} handler(s) that did not return", file=sys.stderr)
        sys.stdout.flush()
        os._exit(status)
