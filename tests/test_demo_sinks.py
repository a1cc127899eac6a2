"""The demo's receivers take real deliveries and refuse as often as their seed says."""

import asyncio
import contextlib
import smtplib
from email.message import EmailMessage

import pytest
from hivelog.demo.delivery import DeliveryRefusedError, post_webhook, send_mail
from hivelog.demo.environment import (
    NOBODY,
    NotConfiguredError,
    SmtpAddress,
    as_variables,
    smtp_address,
    webhook_url,
)
from hivelog.demo.sinks import KEEP, Delivery, Ledger, sinks


def _mail(key: str, to: str = "ana@demo.example") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@demo.example", to, "hello"
    message["Message-ID"] = f"<{key}@demo.example>"
    message.set_content("a body\n.with a dot line")
    return message


def test_ledger_refuses_at_its_rate_whatever_the_order() -> None:
    ids = [f"job-{n}" for n in range(2000)]
    forward, backward = Ledger(5, 0.2), Ledger(5, 0.2)
    refused = {i for i in ids if forward.refuses(i)}
    assert refused == {i for i in reversed(ids) if backward.refuses(i)}
    assert 0.17 < len(refused) / len(ids) < 0.23
    assert forward.counts["refused"] == len(refused)
    assert refused != {i for i in ids if Ledger(6, 0.2).refuses(i)}


def test_ledger_forgets_the_oldest_so_that_it_stays_small() -> None:
    ledger = Ledger(1, 1.0)
    for n in range(KEEP + 50):
        ledger.refuses(f"{n}")
        ledger.accept(Delivery(f"other-{n}", "x", 1))
    assert len(ledger._tries) == KEEP
    assert len(ledger.accepted) == KEEP
    assert ledger.counts["accepted"] == KEEP + 50


async def test_mail_arrives_or_is_refused_with_the_words_of_the_sink() -> None:
    async with sinks(refusal_rate=0.0) as running:
        await asyncio.to_thread(send_mail, running.smtp, _mail("job-1"))
        with pytest.raises(DeliveryRefusedError, match=r"SMTP 550: 5\.1\.1 mailbox"):
            await asyncio.to_thread(send_mail, running.smtp, _mail("job-2", NOBODY))
        (delivery,) = running.mails.accepted
        assert (delivery.id, delivery.to) == ("job-1", "ana@demo.example")
        assert running.mails.counts == {"accepted": 1, "refused": 1}
    with pytest.raises((OSError, smtplib.SMTPServerDisconnected)):
        await asyncio.to_thread(send_mail, running.smtp, _mail("job-3"))


async def test_refused_mail_goes_through_when_it_is_tried_again() -> None:
    async with sinks(seed=3, refusal_rate=0.5) as running:
        tries = [await _attempts(running.smtp, f"job-{n}") for n in range(30)]
        assert running.mails.counts["accepted"] == 30
        assert running.mails.counts["refused"] == sum(tries) - 30 > 5
        assert sorted(d.id for d in running.mails.accepted) == sorted(f"job-{n}" for n in range(30))


async def _attempts(address: SmtpAddress, key: str) -> int:
    for attempt in range(1, 40):
        with contextlib.suppress(DeliveryRefusedError):
            await asyncio.to_thread(send_mail, address, _mail(key))
            return attempt
    raise AssertionError("never accepted")


async def test_webhook_is_recorded_with_its_key_or_answers_503() -> None:
    async with sinks(refusal_rate=0.0) as running:
        url = f"{running.webhook}/billing"
        assert await asyncio.to_thread(post_webhook, url, {"order": 1}, "job-1") == 202
        assert [(d.id, d.to) for d in running.calls.accepted] == [("job-1", "billing")]
    async with sinks(refusal_rate=1.0) as running:
        with pytest.raises(DeliveryRefusedError, match="webhook 503: Service Unavailable"):
            await asyncio.to_thread(post_webhook, f"{running.webhook}/chat", {}, "job-2")
        assert running.calls.counts == {"refused": 1}


def test_addresses_travel_by_environment_variables(tmp_path) -> None:  # type: ignore[no-untyped-def]
    variables = as_variables(tmp_path, SmtpAddress("127.0.0.1", 2525), "http://127.0.0.1:80")
    assert smtp_address(variables) == ("127.0.0.1", 2525)
    assert webhook_url(variables) == "http://127.0.0.1:80"


@pytest.mark.parametrize("value", ["", "localhost", "host:port"])
def test_a_missing_or_wrong_address_is_named(value: str) -> None:
    with pytest.raises(NotConfiguredError, match="DEMO_SMTP"):
        smtp_address({"DEMO_SMTP": value})
    with pytest.raises(NotConfiguredError, match="DEMO_WEBHOOK"):
        webhook_url({"DEMO_WEBHOOK": "file:///etc/passwd"})
