"""How a program that uses Hivelog is tested; the documentation shows this file."""

from __future__ import annotations

from typing import Any

import pytest
import signup


@pytest.fixture(autouse=True)
def empty_outbox() -> None:
    signup.SENT.clear()


def test_signing_up_sends_a_mail(hivelog_inline: Any) -> None:
    signup.sign_up("ann@example.org")
    assert signup.SENT == []  # nothing runs before drain()
    (mail,) = hivelog_inline.drain()
    assert (mail.status, mail.result) == ("completed", {"attempt": 1})
    assert signup.SENT == ["ann@example.org"]


def test_a_week_later_there_is_a_reminder(hivelog_inline: Any) -> None:
    signup.sign_up("ann@example.org")
    ran = hivelog_inline.drain(with_scheduled=True)
    assert [job.type for job in ran] == ["signup.mail", "signup.remind", "signup.mail"]
    assert signup.SENT == ["ann@example.org"] * 2


def test_a_busy_mail_server_is_tried_again(hivelog_inline: Any) -> None:
    signup.sign_up("ann@example.org", text="flaky")
    (mail,) = hivelog_inline.drain()
    assert (mail.status, mail.metadata.current_retry) == ("pending", 1)
    assert "busy" in mail.error
    hivelog_inline.advance(30)
    hivelog_inline.advance(60)
    mail, *_ = hivelog_inline.drain(with_scheduled=True)
    assert (mail.status, mail.result) == ("completed", {"attempt": 3})


async def test_in_async_tests_too(hivelog_inline: Any) -> None:
    from hivelog import Client

    async with Client() as client:
        job = await client.enqueue("notifications", "signup.mail", {"to": "bob", "text": "hi"})
        await hivelog_inline.drain_async()
        assert (await client.job(job.id)).status == "completed"


def test_the_same_for_real(hivelog_server: Any) -> None:
    signup.sign_up("ann@example.org", text="flaky")
    client = hivelog_server.client
    mail, remind = (event.job for event in client.events(type="enqueued"))
    wait_until_it_waits(client, mail)
    hivelog_server.clock.advance(60)
    wait_until_it_waits(client, mail, retry=2)
    hivelog_server.clock.advance(120)
    assert client.wait(mail, timeout=20).result == {"attempt": 3}
    hivelog_server.clock.advance(7 * 86_400)
    assert client.wait(remind, timeout=20).status == "completed"


def wait_until_it_waits(client: Any, job: str, retry: int = 1) -> None:
    """Until the attempt has failed and the next is scheduled."""
    import time

    deadline = time.monotonic() + 20
    while client.job(job).metadata.current_retry < retry:
        assert time.monotonic() < deadline
        time.sleep(0.02)
