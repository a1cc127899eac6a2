"""`q`: payload fields and words of payloads and errors, in plain text and encrypted."""

from __future__ import annotations

import pytest
from hivelog.projections import jobs

from .search_world import KEY, ONE, PAYLOAD, Serve, ids, post, run_once, serve, world
from .web_world import World

__all__ = ["serve", "world"]  # fixtures


QUESTIONS = {
    "user_id:U1-quokka": True,
    "USER_ID:u1-QUOKKA": True,
    "user_id:quokka": False,
    "user_id:u1": False,
    "order.id:77": True,
    "order.paid:true": True,
    "order.lines.sku:a-1 order.lines.sku:b2": True,
    "order.lines.sku:a-1 order.lines.sku:b3": False,
    "sku:b2": False,
    'subject:"Your invoice\'s \\ here"': True,
    "invoice": True,
    '"invoice your"': True,
    "U1-quokka": True,
    "77 invoice": True,
    "77 voice": False,
    "'; drop": False,
    "a&b|c!(d):*x": False,
}


async def test_fields_and_words(world: World) -> None:
    job = await post(world, PAYLOAD)
    other = await post(world, {"user_id": "u2"})
    assert {q: await ids(world, q) == [job] for q in QUESTIONS} == QUESTIONS
    assert [q for q in QUESTIONS if await ids(world, q) not in ([job], [])] == []
    assert await ids(world, "user_id:u2", ONE, status="queued") == [other]
    assert await ids(world, "user_id:u2", ONE, status="failed") == []
    assert await ids(world, "user_id:u2", "/queue/reports/jobs") == []


async def test_words_of_errors(world: World) -> None:
    job = await post(world, {"user_id": "u1"}, max_retries=0)
    await run_once(world, job, "failed", error="OSError: no route to host-9 'zebra'")
    await post(world, {"user_id": "u1"})
    assert await ids(world, "zebra") == await ids(world, "host-9 OSERROR user_id:u1") == [job]
    assert await ids(world, "zebra", type="mail", status="failed") == [job]
    assert await ids(world, "zebra", type="other") == []


async def test_pages_go_on_where_they_end(world: World) -> None:
    made = [await post(world, {"n": n, "all": "x"}) for n in range(7)]
    assert await ids(world, "all:x") == made[::-1]
    got: list[str] = []
    after: dict[str, str] = {}
    while True:
        answer = (await world.client.get("/jobs", params={"q": "all:x", "limit": 3, **after})).json()
        got += [job["id"] for job in answer["jobs"]]
        if answer["next"] is None:
            break
        after = {"after": answer["next"]}
    assert got == made[::-1]


@pytest.mark.parametrize("matches", [1, 3, 100])
async def test_rare_and_common_words_are_found_by_every_way(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, matches: int
) -> None:
    """Among the newest, by the index, or by looking on; with a filter that leaves few of them."""
    monkeypatch.setattr(jobs, "_NEWEST", 2)
    monkeypatch.setattr(jobs, "_MATCHES", matches)
    async with serve() as world:
        made = [
            await post(world, {"w": "common", "n": n, "x": "rare" if n in (1, 2, 9) else "no"}, source="ab"[n % 2])
            for n in range(14)
        ][::-1]
        wanted = {
            "common": made, "x:rare": [made[4], made[11], made[12]], "n:0": [made[13]], "n:13": [made[0]], "none": [],
        }  # fmt: skip
        for q, expected in wanted.items():
            for source in (None, "a", "b"):
                sought = [job for job in expected if source in (None, "ab"[(13 - made.index(job)) % 2])]
                assert await _all_pages(world, q, source) == sought, (q, source)


async def _all_pages(world: World, q: str, source: str | None) -> list[str]:
    head = (await world.client.get("/queue/status")).json()["position"]
    params = {"q": q, "after_position": head, "limit": 3} | ({} if source is None else {"source": source})
    found: list[str] = []
    while True:
        page = (await world.client.get("/jobs", params=params)).json()
        found += [job["id"] for job in page["jobs"]]
        if page.get("next") is None:
            return found
        params["after"] = page["next"]


async def test_a_question_that_cannot_be_answered_is_refused(world: World) -> None:
    for q in ("   ", "...", "user_id:", " ".join("abcdefghijk"), "x" * 501, "a:" + "x" * 201):
        answer = await world.client.get("/jobs", params={"q": q})
        assert answer.status_code == 400, q
        assert answer.json()["detail"]["field"] == "q"


async def test_beginnings_are_found_in_plain_text_only(serve: Serve) -> None:
    async with serve() as world:
        job = await post(world, PAYLOAD)
        assert await ids(world, "quok*") == await ids(world, "user_id:u1*") == [job]
    async with serve(KEY) as world:
        assert await ids(world, "quokka") == [job]  # it was plain, and stays so
        answer = await world.client.get("/jobs", params={"q": "quok*"})
        assert answer.status_code == 400
