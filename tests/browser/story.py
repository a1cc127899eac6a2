"""Jobs in every state, made the way that users make them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from .sites import Site, until

USERS: Final = 12
FAILED: Final = 7
ORDER: Final = "order-1042"


def tell(site: Site) -> None:
    """Some completed, failed, running, waiting for a time, a retry, a worker or the end of a pause, and so on."""
    since = site.get("/queue/status")["timestamp"]  # there may be jobs of before
    for queue in ("default", "reports", "notifications"):
        site.ask("PUT", f"/queue/{queue}", {"max_retries": 1, "retry_delay": 600})
    site.ask("POST", "/queue/background/pause", {"reason": "the archive moves to another disk"})
    _paused(site)
    _finished(site)
    _waiting(site)
    site.work("default", "reports", "notifications", name="ann")
    site.work("reports", name="ben", slots=4)
    _running(site)
    until(lambda: _all_done(site, since), 60, "the story did not come to its end")
    site.settled()


def _finished(site: Site) -> None:
    for number in range(USERS):
        user = f"u{number}"
        payload = {"user_id": user, "template": "monthly" if number % 2 else "yearly", "pages": 3 + number}
        site.enqueue("reports", "report_generation", payload, tags=["vip"] if number < 3 else [], source="shop")
        site.enqueue("notifications", "send_mail", {"to": f"{user}@example.org", "user_id": user})
    for kind, queue in (("report_generation", "reports"), ("send_mail", "notifications")):
        payload = {"user_id": "u1", "to": "u1@example.org", "order": {"id": 1042, "lines": [1, 2, 3]}}
        site.enqueue(queue, kind, payload, correlation_id=ORDER, source="shop", priority=400)
    for number in range(FAILED):
        site.enqueue("default", "charge_card", {"user_id": f"u{number}", "seconds": 10}, max_retries=0)
    for number in range(3):
        site.enqueue("notifications", "send_mail", {"to": f"x{number}@nowhere.invalid"}, max_retries=0)
    site.enqueue("notifications", "send_mail", {"to": "later@nowhere.invalid"}, max_retries=3)


def _waiting(site: Site) -> None:
    later = datetime.now(UTC) + timedelta(hours=3)
    site.enqueue("reports", "report_generation", {"user_id": "u7"}, scheduled_for=later.isoformat())
    for _ in range(4):
        site.enqueue("default", "resize_image", {"file": "cat.png", "width": 640})
    cancelled = site.enqueue("default", "resize_image", {"file": "dog.png", "width": 640})
    site.ask("POST", f"/job/{cancelled}/cancel", {"reason": "the picture was taken down"})


def _paused(site: Site) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    site.enqueue("background", "cleanup", {"days": 30}, expires_at=soon.isoformat())
    for days in (1, 7, 90):
        site.enqueue("background", "cleanup", {"days": days})


def _running(site: Site) -> None:
    for start in (12, 40):
        site.enqueue("reports", "slow_report", {"from": start, "user_id": "u9"})


def _all_done(site: Site, since: str) -> bool:
    def counted(status: str) -> int:
        return int(site.get("/jobs", status=status, limit=500, since=since)["count"])

    done = counted("completed") == 2 * USERS + 2 and counted("failed") == FAILED + 3
    waits = counted("pending") == 2 and counted("expired") == 1
    return done and waits and counted("processing") == 2
