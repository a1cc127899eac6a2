"""Anchors: the last seal gets out, whoever is slow; to a file, to a URL."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
from hivelog.events import anchors, seals
from hivelog.events.anchors import Anchor, Publisher, anchor_of
from hivelog.events.seals import Seal


def seal(position: int) -> Seal:
    return Seal(
        first=1, position=position, epoch=1, sealed_at=1_700_000_000_000_000, root=bytes(32), names="{}",
        previous=seals.GENESIS, public=bytes(32), signature=bytes(64),
    )  # fmt: skip


async def rest(publisher: Publisher) -> None:
    assert publisher._wait is not None
    await publisher._wait


async def test_a_seal_made_while_another_is_published_is_published_too(tmp_path: Path) -> None:
    class Slow(Publisher):
        async def publish(self, anchor: Anchor) -> None:
            if anchor.position == 1:
                self.sealed(seal(2))
            await super().publish(anchor)

    publisher = Slow(file=tmp_path / "anchors", url=None, every=0.0)
    publisher.sealed(seal(1))
    await rest(publisher)
    assert [each.position for each in anchors.read(tmp_path / "anchors")] == [1, 2]


async def test_of_many_seals_the_last_goes_out_and_stop_does_not_wait(tmp_path: Path) -> None:
    publisher = Publisher(file=tmp_path / "anchors", url=None, every=3600.0)
    publisher.sealed(seal(1))
    await rest(publisher)
    for position in (2, 3, 4):
        publisher.sealed(seal(position))
    await publisher.stop()
    assert [each.position for each in anchors.read(tmp_path / "anchors")] == [1, 4]


async def test_a_url_is_told(tmp_path: Path) -> None:
    told: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line)
        told.append(await reader.readexactly(size))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await Publisher(file=None, url=f"http://127.0.0.1:{port}/in", every=0.0).publish(anchor_of(seal(7)))
    server.close()
    assert msgspec.json.decode(told[0], type=Anchor) == anchor_of(seal(7))


async def test_what_cannot_be_published_stops_nothing(tmp_path: Path) -> None:
    publisher = Publisher(file=tmp_path / "no" / "folder", url="http://127.0.0.1:9/", every=0.0)
    await publisher.publish(anchor_of(seal(1)))
    assert not (tmp_path / "no").exists()
