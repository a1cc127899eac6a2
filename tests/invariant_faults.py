"""Rules: answers are lost, connections cut, feeds go wrong, and Redis does what it likes."""

from __future__ import annotations

import asyncio

from hypothesis import strategies as st
from hypothesis.stateful import rule

from .invariant_crew import Crew
from .invariant_world import QUEUES, TYPES


class Faults(Crew):
    """All that may happen between processes and servers."""

    @rule()
    def next_answer_is_lost(self) -> None:
        self.proxy.lose_next_answer()

    @rule()
    def connections_to_postgres_are_cut(self) -> None:
        self.proxy.cut()
        self.run(asyncio.sleep(0))

    @rule(engine=st.integers(0, 1), fault=st.sampled_from(["lose", "repeat", "reorder"]))
    def next_feed_goes_wrong(self, engine: int, fault: str) -> None:
        self.feeds[engine].next = fault
        self.honest = False

    @rule(engine=st.integers(0, 1), away=st.booleans())
    def redis_is_out_of_reach(self, engine: int, away: bool) -> None:
        self.feeds[engine].away = away

    @rule(
        fault=st.sampled_from([
            "flush", "drop_key", "evict_ready", "remember", "restore", "lose_an_id", "wrong_type",
            "kill_connections",
        ])
    )  # fmt: skip
    def redis_goes_wrong(self, fault: str) -> None:
        getattr(self.adversary, fault)()
        self.honest = self.honest and fault in ("remember", "kill_connections")

    @rule(by=st.sampled_from([-3, -1, 1, 2, 50]))
    def checkpoint_moves(self, by: int) -> None:
        self.adversary.move_checkpoint(by)
        self.honest = False

    @rule(queue=st.sampled_from(QUEUES), kind=st.sampled_from(TYPES))
    def redis_names_wrong_jobs(self, queue: str, kind: str) -> None:
        some = sorted(self.model.jobs)[:6]
        self.adversary.add_ids(self.ids[queue], self.types[kind], some)
        self.honest = False

    @rule()
    def settle(self) -> None:
        self.run(self._settle())
