"""Doctor's look at Redis: reachable, new enough, never evicting, and what it holds against the log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from redis import exceptions
from redis.asyncio import Redis as Client

from ..broker import keys
from ..broker.audit import audit
from ..broker.engine import Engine
from ..events.read import head
from .findings import Finding, ok, warning

_OLDEST: Final = (6, 2)
_FULL: Final = 0.9  # of maxmemory
_FAR: Final = 1000  # positions
_REBUILD: Final = "hivelog rebuild redis"


async def check_redis(url: str) -> AsyncIterator[Finding]:
    """The server itself. Without it everything works, more slowly: so nothing here is an error but what
    would be worse than none."""
    client = Client.from_url(url, socket_connect_timeout=3, socket_timeout=3)
    try:
        info: dict[str, Any] = await client.info()
    except (exceptions.RedisError, OSError) as problem:
        said = " ".join(str(problem).split())
        told = f"does not answer ({said}): claims go to PostgreSQL"
        yield warning("redis", told, "start it; check REDIS_URL")
        return
    finally:
        await client.aclose()
    for finding in redis_findings(info):
        yield finding


def redis_findings(info: dict[str, Any]) -> list[Finding]:
    """Pure: what INFO says."""
    name = "Valkey" if info.get("server_name") == "valkey" else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version") or "?")
    told = f"{name} {version}, {info.get('used_memory_human', '?')} in use"
    found = [ok("redis", told)]
    if _number(str(info.get("redis_version"))) < _OLDEST:
        found[0] = warning("redis", f"{told}: too old", "use Redis 6.2 or newer, or Valkey")
    policy = info.get("maxmemory_policy", "noeviction")
    limit = int(info.get("maxmemory") or 0)
    if policy != "noeviction":
        todo = "maxmemory-policy noeviction: what is evicted must be rebuilt from the log again and again"
        found.append(warning("redis memory", f"maxmemory-policy is {policy}", todo))
    elif limit and int(info.get("used_memory") or 0) > _FULL * limit:
        found.append(warning("redis memory", "nearly full", "raise maxmemory"))
    else:
        found.append(ok("redis memory", "noeviction" if limit else "noeviction, without a limit"))
    return found


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


async def check_feed(engine: Engine) -> AsyncIterator[Finding]:
    """What Redis holds against the log, at its checkpoint."""
    if not engine.redis.connected and engine.redis.error:
        return  # said already
    async with engine.pool.connection() as connection:
        now = await head(connection)
    epoch, position = await engine.redis.command(b"HMGET", keys.AT, b"epoch", b"position")
    if position is None:
        yield warning("feed", "Redis holds nothing yet", "a worker or `hivelog serve` fills it")
        return
    if int(epoch or 0) != now.epoch:
        yield warning("feed", f"Redis is of epoch {int(epoch or 0)}, the log of {now.epoch}", _REBUILD)
        return
    behind = now.position - int(position)
    if behind > _FAR:
        yield warning("feed", f"Redis is {behind:,} positions behind the log", _REBUILD)
    elif differences := await audit(engine.redis, engine.pool):
        yield warning("feed", f"Redis differs from the log in {len(differences)} figures", _REBUILD)
    else:
        yield ok("feed", f"Redis agrees with the log, {max(behind, 0)} positions behind")
