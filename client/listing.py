"""Lists that come in pages: taken page by page, or walked through to the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class Page(Struct, Generic[T], frozen=True):
    """`next` is the `after` of the following page; None: this is the last."""

    items: list[T]
    next: str | int | None



class Listing(Generic[T]):
    """`async for item in listing`, or `await listing.page(after)`."""

    def __init__(self, fetch: Callable[[str | int | None], Coroutine[Any, Any, Page[T]]]) -> None:
        self.page = fetch

    async def __aiter__(self) -> AsyncIterator[T]:
        after: str | int | None = None
        while True:
            page = await self.page(after)
            for item in page.items:
                yield item
            if page.next is None or page.next == after:
                return
            after = page.next


class SyncListing(Generic[T]):
    """`for item in listing`, or `listing.page(after)`."""

    def __init__(
        self, listing: Listing[T], run: Callable[[Coroutine[Any, Any, Page[T]]], Page[T]]
    ) -> None:
        self._listing, self._run = listing, run

    def page(self, after: str | int | None = None) -> Page[T]:
        return self._run(self._listing.page(after))

    def __iter__(self) -> Iterator[T]:
        after: str | int | None = None
        while True:
            page = self.page(after)
            yield from page.items
            if page.next is None or page.next == after:
                return
            after = page.next
