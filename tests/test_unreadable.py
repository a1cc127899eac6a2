"""A stored body that is not what was sealed: its job says so, once in the log too, and hides no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import structlog
from hivelog.web import bodies

from .sealed_log import superuser
from .web_world import World, served, until

# What somebody did to the row, and what the job says then.
ENCRYPTED = {
    "set body = set_byte(body, 20, get_byte(body, 20) # 1)": "damaged",
    "set body = '\\x00'": "damaged",
    "set wrapped = set_byte(wrapped, 20, get_byte(wrapped, 20) # 1)": "damaged",
    "set kek = kek + 1": "no_key",
}
PLAIN = {
    "set body = convert_to('{\"to\": xylophone', 'utf8')": "damaged",
    "set body = '\\x22ff22'": "damaged",
}
CASES = [*((True, *case) for case in ENCRYPTED.items()), *((False, *case) for case in PLAIN.items())]


@pytest.mark.parametrize(("encrypted", "change", "said"), CASES)
async def test_a_job_that_cannot_be_read_hides_no_other(
    servers: Any, database: str, redis_url: str, tmp_path: Path, encrypted: bool, change: str, said: str
) -> None:
    async with served(database, redis_url, tmp_path, encryption_enabled=encrypted) as world:
        bad, good = await world.enqueue(), await world.enqueue()
        await listed(world, good["id"])
    with superuser(servers, database) as connection:
        connection.execute(f"update hivelog.vault {change} where job = %s", (bad["id"],))  # type: ignore[arg-type]
    # Another process: the first keeps keys that it unwrapped. What a process said once, it does not say again.
    bodies._tell.cache_clear()
    async with served(database, redis_url, tmp_path, encryption_enabled=encrypted) as world:
        with structlog.testing.capture_logs() as logs:
            for job in (await listed(world, bad["id"]), await listed(world, bad["id"], at=str(bad["position"] + 1))):
                assert (job["payload"], job["unreadable"], job["status"]) == (None, said, "queued")
            whole = await listed(world, good["id"])
            assert (whole["payload"], whole["unreadable"]) == ({"to": "ann"}, None)
            assert (await world.job(bad["id"]))["unreadable"] == said
            assert await exported(world) == {bad["id"]: None, good["id"]: {"to": "ann"}}
            story = (await world.client.get(f"/job/{bad['id']}/history")).json()
            assert (story["job"]["unreadable"], story["events"][0].get("payload")) == (said, None)
    told = [line for line in logs if line["event"] == "unreadable_body"]
    assert [line["why"] for line in told] == [said]
    assert "xylophone" not in str(logs)


async def test_a_worker_is_not_given_what_is_not_json(
    servers: Any, database: str, redis_url: str, tmp_path: Path
) -> None:
    """Nor does it keep it from the others."""
    async with served(database, redis_url, tmp_path) as world:
        bad, good = await world.enqueue(), await world.enqueue()
        with superuser(servers, database) as connection:
            connection.execute("update hivelog.vault set body = '\\x22ff22' where job = %s", (bad["id"],))
        body = {"session": await world.session(), "claim_id": "1", "types": ["mail"], "queues": ["default"], "limit": 2}
        claimed = (await world.client.post("/workers/claim", json={**body, "wait": 5})).json()
        assert [job["id"] for job in claimed["jobs"]] == [good["id"]]


async def listed(world: World, job: str, **query: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def there() -> bool:
        answer = await world.client.get("/jobs", params=query)
        assert answer.status_code == 200, answer.text
        found.update({each["id"]: each for each in answer.json()["jobs"]})
        return job in found

    await until(there)
    return dict(found[job])


async def exported(world: World) -> dict[str, Any]:
    text = (await world.client.get("/jobs", params={"format": "ndjson"})).text
    return {line["id"]: line["payload"] for line in map(json.loads, text.splitlines())}
