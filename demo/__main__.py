"""``python -m hivelog.demo``: the demo's mail and webhook sinks alone, until Ctrl-C.

For workers that run the demo's handlers without `hivelog demo` around them, as in the compose file.
"""

import argparse
import asyncio
import contextlib

from .environment import data_dir
from .sinks import sinks


async def _serve(options: argparse.Namespace) -> None:
    running = sinks(options.seed, options.refuse, options.host, options.smtp_port, options.webhook_port)
    async with running as receivers:
        for name, value in receivers.variables(data_dir()).items():
            print(f"{name}={value}", flush=True)
        await asyncio.Event().wait()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hivelog.demo", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--smtp-port", type=int, default=8025)
    parser.add_argument("--webhook-port", type=int, default=8026)
    parser.add_argument("--refuse", type=float, default=0.12, help="share of refused deliveries")
    parser.add_argument("--seed", type=int, default=1, help="decides which deliveries")
    return parser.parse_args()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(_options()))
