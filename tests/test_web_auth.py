"""Who may do what: every route, every kind of caller."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from hivelog.web.access import digest
from hivelog.web.auth import Attempts
from hivelog.web.endpoint import Endpoint
from hivelog.web.routes import ENDPOINTS
from hivelog.web.serve import first_start
from hivelog.web.static_files import version

from .web_world import TOKEN, World, served

OPEN = {"/health", "/health/live", "/health/ready", "/login", "/"}
NOBODYS_JOB = "0190163d-8694-739b-aea5-966c26f8ad91"


@pytest.fixture
async def world(database: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with served(database, redis_url, tmp_path, trusted_proxies=("10.9.8.0/24",)) as running:
        yield running


@pytest.fixture
async def anybody(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client without any credential."""
    async with httpx.AsyncClient(base_url=world.base) as client:
        yield client


def path_of(endpoint: Endpoint, queue: str = "default") -> str:
    return endpoint.path.format(queue=queue, job=NOBODYS_JOB, action=uuid4())


def token(database: str, scopes: list[str], queues: list[str] | None = None, **more: Any) -> dict[str, str]:
    """A new access token, as headers."""
    secret = f"secret-{uuid4()}"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            "insert into hivelog.access_tokens (id, name, hash, scopes, queues, created_at, expires_at)"
            " values (%s, %s, %s, %s, %s, now(), now() + %s * interval '1 hour')",
            (uuid4(), more.get("name", "t"), digest(secret), scopes, queues, more.get("hours", 1)),
        )
    return {"authorization": f"Bearer {secret}"}


async def test_nothing_but_health_login_and_static_answers_without_a_credential(
    world: World, anybody: httpx.AsyncClient
) -> None:
    for endpoint in ENDPOINTS:
        answer = await anybody.request(endpoint.method, path_of(endpoint))
        if endpoint.path in OPEN:
            assert answer.status_code != 401 or endpoint.method == "POST", endpoint.path
        else:
            assert answer.status_code == 401, endpoint.path
            assert answer.json()["code"] == "unauthenticated"
            assert "bearer" in answer.headers["www-authenticate"].lower()
    for path in ("/nothing", "/static/../app.py", "/queue"):
        assert (await anybody.get(path)).status_code in (401, 404)
    assert (await anybody.get(f"/static/{version()}/style/base.css")).status_code == 200
    assert (await world.client.get("/nothing")).json()["code"] == "not_found"


async def test_every_route_asks_for_its_scope(world: World, database: str) -> None:
    for scope in ("produce", "work", "read", "operate"):
        headers = token(database, [scope])
        for endpoint in ENDPOINTS:
            if endpoint.scope is None:
                continue
            answer = await world.client.request(endpoint.method, path_of(endpoint), headers=headers)
            allowed = endpoint.scope == scope
            if "text/event-stream" in answer.headers["content-type"]:
                continue
            assert (answer.status_code == 403) == (not allowed), (scope, endpoint.path, answer.text)


async def test_a_token_of_some_queues_sees_no_other(world: World, database: str) -> None:
    mine, other = await world.enqueue("default"), await world.enqueue("reports")
    headers = token(database, ["admin"], ["default"])
    get = world.client.get
    assert (await get(f"/job/{mine['id']}", headers=headers)).status_code == 200
    assert (await get(f"/job/{other['id']}", headers=headers)).status_code == 404
    for path in ("/queue/reports/stats", "/queue/reports/jobs", "/queue/reports", "/jobs?queue=reports"):
        answer = await get(path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_queue"), path
    assert [q["name"] for q in (await get("/queues", headers=headers)).json()["queues"]] == ["default"]
    assert list((await get("/queue/status", headers=headers)).json()["data"]["queues"]) == ["default"]
    jobs = (await get(f"/jobs?after_position={other['position']}", headers=headers)).json()["jobs"]
    assert [job["id"] for job in jobs] == [mine["id"]]
    assert {e["queue"] for e in (await get("/events", headers=headers)).json()["events"]} == {"default"}
    cancel = await world.client.post(f"/job/{other['id']}/cancel", headers=headers)
    assert cancel.status_code == 404
    bulk = [{"queue": "reports", "type": "x", "payload": 1}]
    assert (await world.client.post("/jobs", json=bulk, headers=headers)).status_code == 404
    assert (await world.job(other["id"]))["status"] == "queued"


async def test_wrong_and_expired_tokens_are_refused(
    world: World, anybody: httpx.AsyncClient, database: str
) -> None:
    for authorization in ("Bearer wrong", "Bearer", "Basic YTpi", f"Token {TOKEN}", ""):
        answer = await anybody.get("/queues", headers={"authorization": authorization})
        assert answer.status_code == 401, authorization
    assert (await anybody.get("/queues", headers=token(database, ["read"], hours=-1))).status_code == 401
    # A wrong token does not fall through to a cookie beside it.
    await anybody.post("/login", json={"token": TOKEN})
    assert (await anybody.get("/queues")).status_code == 200
    assert (await anybody.get("/queues", headers={"authorization": "Bearer wrong"})).status_code == 401


async def test_login_makes_a_session_and_logout_ends_it(
    world: World, anybody: httpx.AsyncClient, database: str
) -> None:
    assert (await anybody.post("/login", json={"token": "nope"})).status_code == 401
    answer = await anybody.post("/login", json={"token": TOKEN})
    assert answer.json() == {
        "user": "user:admin", "role": "admin", "scopes": ["admin", "operate", "produce", "read", "work"],
    }  # fmt: skip
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie  # plain http
    secret = anybody.cookies["hivelog_session"]
    with psycopg.connect(database) as conn:
        rows = conn.execute("select hash, row_to_json(l)::text from hivelog.logins l").fetchall()
    assert [bytes(row[0]) for row in rows] == [digest(secret)]
    assert secret not in rows[0][1]
    assert "app.js" in (await anybody.get("/")).text
    # A second login rotates: the old session is worth nothing.
    await anybody.post("/login", json={"token": TOKEN}, headers={"origin": world.base})
    old = {"cookie": f"hivelog_session={secret}"}
    async with httpx.AsyncClient(base_url=world.base) as other:
        assert (await other.get("/queues", headers=old)).status_code == 401
    same = {"origin": world.base}
    assert (await anybody.post("/logout", headers=same)).status_code == 200
    assert (await anybody.get("/queues")).status_code == 401
    assert "login.js" in (await anybody.get("/")).text


async def test_a_cookie_write_needs_this_sites_origin(world: World, anybody: httpx.AsyncClient) -> None:
    await anybody.post("/login", json={"token": TOKEN})
    pause = "/queue/default/pause"
    for headers in (
        {}, {"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"},
        {"origin": world.base, "sec-fetch-site": "same-site"}, {"origin": "null"},
    ):  # fmt: skip
        answer = await anybody.post(pause, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), headers
    assert (await anybody.post(pause, headers={"origin": world.base})).status_code == 200
    assert (await anybody.post(pause, headers={"sec-fetch-site": "same-origin"})).status_code == 200
    login = await anybody.post("/login", json={"token": TOKEN}, headers={"origin": "https://evil.example"})
    assert login.status_code == 403


async def test_a_one_time_link_works_once_and_opening_it_uses_nothing_up(
    world: World, anybody: httpx.AsyncClient
) -> None:
    code = await world.services.access.new_code("ann", "operator")
    for _ in range(3):
        assert (await anybody.get(f"/login?code={code}")).status_code == 200
    answer = await anybody.post("/login", json={"token": code})
    assert answer.json()["role"] == "operator"
    assert (await anybody.get("/queues")).status_code == 200
    assert (await anybody.put("/config", json={}, headers={"origin": world.base})).status_code == 403
    assert (await anybody.post("/login", json={"token": code})).status_code == 401


async def test_sessions_end_by_idleness(
    world: World, anybody: httpx.AsyncClient, database: str
) -> None:
    await anybody.post("/login", json={"token": TOKEN})
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("update hivelog.logins set idle_until = now() - interval '1 second'")
    assert (await anybody.get("/queues")).status_code == 401


async def test_login_is_rate_limited(world: World, anybody: httpx.AsyncClient) -> None:
    seen = [(await anybody.post("/login", json={"token": f"guess {n}"})).status_code for n in range(14)]
    assert seen[:10] == [401] * 10
    assert seen[-1] == 429
    attempts = Attempts(burst=1)
    assert [attempts.take("a"), attempts.take("a"), attempts.take("b")] == [True, False, True]


async def test_identity_headers_count_from_trusted_proxies_only(
    world: World, anybody: httpx.AsyncClient
) -> None:
    headers = {"x-user-id": "ann", "x-user-role": "admin"}
    assert (await anybody.get("/queues", headers=headers)).status_code == 401
    auth = world.services.auth
    raw = {b"x-user-id": b"ann", b"x-user-role": b"viewer"}
    caller = await auth.caller({"client": ("10.9.8.7", 1)}, raw)
    assert caller is not None
    assert (caller.actor, caller.role, caller.ambient) == ("user:ann", "viewer", True)
    assert await auth.caller({"client": ("10.9.7.7", 1)}, raw) is None
    forwarded = {b"x-forwarded-for": b"1.2.3.4, 5.6.7.8", b"x-forwarded-proto": b"https"}
    assert auth.client_address({"client": ("10.9.8.7", 1)}, forwarded) == "5.6.7.8"
    assert auth.client_address({"client": ("9.9.9.9", 1)}, forwarded) == "9.9.9.9"
    assert auth.is_https({"client": ("10.9.8.7", 1), "scheme": "http"}, forwarded)
    assert not auth.is_https({"client": ("9.9.9.9", 1), "scheme": "http"}, forwarded)


async def test_the_first_start_prints_one_link_and_stores_hashes(
    world: World, anybody: httpx.AsyncClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await first_start(world.services.settings, world.services.access, world.base)
    said = capsys.readouterr().err
    [link] = [line.strip() for line in said.splitlines() if "/login?code=" in line]
    file = tmp_path / "admin-token"
    made = file.read_text().strip()
    assert file.stat().st_mode & 0o777 == 0o600
    assert made not in said
    answer = await anybody.post("/login", json={"token": link.partition("code=")[2]})
    assert answer.json()["role"] == "admin"
    bearer = {"authorization": f"Bearer {made}"}
    assert (await world.client.get("/config", headers=bearer)).status_code == 200
    await first_start(world.services.settings, world.services.access, world.base)
    assert "code=" not in capsys.readouterr().err


async def test_health_tells_strangers_statuses_only(world: World, anybody: httpx.AsyncClient) -> None:
    stranger = (await anybody.get("/health")).json()
    assert {name: list(of) for name, of in stranger["components"].items()} == {
        name: ["status"]
        for name in ("redis", "database", "workers", "queues", "projections", "leader", "seals")
    }
    known = (await world.client.get("/health")).json()["components"]
    assert known["database"]["position"] > 0
    assert known["workers"] == {
        "status": "warning", "reason": "no worker is alive", "active_workers": 0, "total_workers": 0,
    }  # fmt: skip


async def test_every_answer_has_the_security_headers(world: World, anybody: httpx.AsyncClient) -> None:
    for client, path in ((anybody, "/"), (anybody, "/nothing"), (world.client, "/queues"),
                         (anybody, f"/static/{version()}/data/feed-shared.js"), (world.client, "/docs")):  # fmt: skip
        headers = (await client.get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    part = (await anybody.get(f"/static/{version()}/app.js")).headers  # the page's policy holds for its parts
    assert part["x-content-type-options"] == "nosniff"
    assert part["cross-origin-resource-policy"] == "same-origin"
    static = Path(__file__).parent.parent / "web" / "static"
    for page in static.glob("*.html"):
        text = page.read_text()
        assert "<style" not in text
        assert " style=" not in text
        assert "<script>" not in text
        assert " onclick=" not in text
