"""Things that really go wrong, for the demo's flaky jobs: each cause makes its own kind of error.

The errors come from the libraries themselves (a refused connection, a truncated document), with
varying numbers and names in their texts, as a failure list has to group them in real life.
"""

import json
import random
import socket
from collections.abc import Callable

Cause = Callable[[random.Random], object]
# The chance that attempt 1, 2, ... fails; later attempts always succeed.
_FAILURE_CHANCE = (0.8, 0.35, 0.1)


class UpstreamError(RuntimeError):
    """A service that the job depends on gave an answer that is no use."""


def disturb(seed: int, attempt: int) -> None:
    """Fail, or not, as attempt number `attempt` (from 1) of the job with this seed does."""
    rng = random.Random(f"{seed}/{attempt}")
    if attempt <= len(_FAILURE_CHANCE) and rng.random() < _FAILURE_CHANCE[attempt - 1]:
        # The cause belongs to the job, the numbers in its text to the attempt.
        cause(seed)(rng)


def cause(seed: int) -> Cause:
    """What keeps going wrong for the job with this seed."""
    return _CAUSES[seed % len(_CAUSES)]


def _connection_refused(rng: random.Random) -> None:
    with socket.socket() as placeholder:  # bound but not listening: nobody can be there
        placeholder.bind(("127.0.0.1", 0))
        socket.create_connection(placeholder.getsockname(), timeout=2).close()


def _truncated_json(rng: random.Random) -> None:
    document = json.dumps({"rows": [rng.randrange(10**6) for _ in range(rng.randint(5, 60))]})
    json.loads(document[: rng.randint(len(document) // 2, len(document) - 2)])


def _wrong_encoding(rng: random.Random) -> None:
    (b"name;city\n" * rng.randint(1, 9) + "Zoë;Zürich".encode("latin-1")).decode("utf-8")


def _rate_limited(rng: random.Random) -> None:
    region = rng.choice(("eu-west", "us-east", "ap-south"))
    raise UpstreamError(f"geocoder {region} answered 429, retry after {rng.randint(1, 30)} s")


def _missing_column(rng: random.Random) -> object:
    row = {"user_id": f"u{rng.randrange(10_000)}", "amount": rng.randrange(500)}
    return row["currency"]


def _slow_upstream(rng: random.Random) -> None:
    waited = rng.uniform(2.0, 9.0)
    raise TimeoutError(f"search-{rng.randint(1, 4)}.internal:9200 did not answer in {waited:.1f} s")


_CAUSES: tuple[Cause, ...] = (
    _connection_refused,
    _truncated_json,
    _wrong_encoding,
    _rate_limited,
    _missing_column,
    _slow_upstream,
)
