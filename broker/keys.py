"""Names of the keys that Python itself touches; all others are made by the scripts (scripts/prelude.lua).

The braces put every key into one cluster slot, as a script may only touch one.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = b"{hivelog}:"
# HASH epoch, position, build, jump: how far the log has been taken over, written with the data itself.
AT: Final = PREFIX + b"at"
# Pub/sub channel: numbers of the queues that have news, separated by commas.
WAKE: Final = PREFIX + b"wake"
# Held by the one process that compares Redis with the log for now.
AUDITOR: Final = PREFIX + b"auditor"
# Set when an audit had Redis rebuilt; it may not do so again while this lasts.
AUDIT_REBUILT: Final = PREFIX + b"audit_rebuilt"
# HASH of feed messages that came before the one they follow; the id of the build under way.
EARLY: Final = PREFIX + b"early"
BUILDING: Final = PREFIX + b"building"
