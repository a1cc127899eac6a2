"""Those who enqueue: by HTTP, each call repeated with its key until it is answered, and by SQL in a
transaction. A job is acknowledged when its line is in the record."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psycopg

from .fleet import TOKEN
from .records import Record

_SQL = "select hivelog.enqueue(%s, %s, %s::jsonb, %s::jsonb)::text"
_PATIENCE = 20.0  # seconds that one call may take before it is given up and repeated


class Producer:
    """`run` until `stopping` is set; all that was begun is then carried to its end."""

    def __init__(self, urls: Sequence[str], database_url: str, folder: Path, seed: int, rate: float) -> None:
        self._urls, self._database_url = urls, database_url
        self._record = Record(folder / "producer.acks")
        self._rng = random.Random(seed)
        self._rate = rate  # calls a second
        self.stopping = asyncio.Event()
        self.acknowledged = 0
        self.refused = 0  # answers other than the job, and connections that failed
        self._calls: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(headers=headers, timeout=_PATIENCE) as client:
            number = 0
            while not self.stopping.is_set():
                number += 1
                call = self._by_sql(number) if number % 10 == 0 else self._by_http(client, number)
                task = asyncio.create_task(call)
                self._calls.add(task)
                task.add_done_callback(self._calls.discard)
                await asyncio.sleep(self._rng.expovariate(self._rate))
                while len(self._calls) > 200:
                    await asyncio.sleep(0.05)
            if self._calls:
                await asyncio.wait(self._calls)

    async def _by_http(self, client: httpx.AsyncClient, number: int) -> None:
        jobs = [self._job(f"{number}.{part}") for part in range(self._rng.choice([1, 1, 1, 10]))]
        key = f"key-{number}"
        self._record.note("asked", key=key, jobs=len(jobs))
        began = time.monotonic()
        while (answer := await self._try(client, key, jobs)) is None:
            await asyncio.sleep(self._rng.uniform(0.1, 0.5))
            began = time.monotonic()
        found = answer["ids"] if "ids" in answer else [answer["job"]["id"]]
        self._acknowledge(key, found, began, answer["position"])

    def _acknowledge(self, key: str, jobs: list[str], began: float, position: int | None = None) -> None:
        """`began`: when the call that was answered was made, by the record's clock."""
        self._record.note("acknowledged", key=key, jobs=jobs, began=began, position=position)
        self.acknowledged += len(jobs)

    async def _try(self, client: httpx.AsyncClient, key: str, jobs: list[dict[str, Any]]) -> Any:
        url = self._rng.choice(self._urls)
        one = {name: value for name, value in jobs[0].items() if name != "queue"}
        path, body = (f"/queue/{jobs[0]['queue']}/jobs", one) if len(jobs) == 1 else ("/jobs", jobs)
        try:
            answer = await client.post(url + path, json=body, headers={"Idempotency-Key": key})
        except httpx.TransportError:
            self.refused += 1
            return None
        if answer.status_code in (200, 201):
            return answer.json()
        if answer.status_code == 409 and answer.json()["code"] == "epoch_changed":
            self._record.note("epoch_changed", key=key)
        elif answer.status_code != 503:
            self._record.note("odd", key=key, status=answer.status_code, text=answer.text[:500])
        self.refused += 1
        return None

    async def _by_sql(self, number: int) -> None:
        """Once: whether a commit without an answer happened is for the caller to find out, not for us."""
        job = self._job(f"{number}.sql")
        values = (job["queue"], job["type"], *(msgspec.json.encode(job[f]).decode() for f in ("payload", "metadata")))
        began = time.monotonic()
        try:
            async with asyncio.timeout(_PATIENCE):
                async with await psycopg.AsyncConnection.connect(self._database_url) as connection:
                    row = await (await connection.execute(_SQL, values)).fetchone()
                assert row is not None
                self._acknowledge(f"sql-{number}", [row[0]], began)
        except (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction, TimeoutError):
            self.refused += 1  # the second: a copy that is put back is a standby until it has recovered

    def _job(self, number: str) -> dict[str, Any]:
        """`correlation_id` names the request: the log shows whether one request became two jobs."""
        rng = self._rng
        kind = rng.choices(["work", "thread", "flaky", "narrow"], [60, 10, 15, 15])[0]
        payload: dict[str, Any] = {"n": number, "seconds": round(min(rng.expovariate(12), 3.0), 3)}
        if kind == "flaky":
            payload["failures"] = rng.choice([1, 1, 2, 9])
        if rng.random() < 0.02:
            payload["seconds"] = rng.uniform(3, 8)  # some are there for whatever comes
        metadata: dict[str, Any] = {"correlation_id": f"job-{number}", "priority": rng.choice([10, 100, 100, 200])}
        return {
            "queue": "narrow" if kind == "narrow" else "work", "type": kind, "payload": payload, "metadata": metadata,
        }  # fmt: skip
