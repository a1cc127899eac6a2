"""The sample workload behind ``hivelog demo``: real work, of the kinds a small platform has.

Three producers (an app, a chatbot, a knowledge base) enqueue reports, notifications and background
chores; the handlers really render PDF files, really talk SMTP and HTTP to sinks that now and then
refuse, and really index and delete files. Everything is derived from a seed, so two runs with the
same seed offer the same jobs.

Run the handlers in any worker with ``hivelog worker --handlers`` and the names in `HANDLERS`.
Needs the ``demo`` extra (reportlab, aiosmtpd, rich).
"""

HANDLERS = ("hivelog.demo.reports", "hivelog.demo.notifications", "hivelog.demo.background")

__all__ = ["HANDLERS"]
