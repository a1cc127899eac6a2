"""What can go wrong between a caller and the log."""

from __future__ import annotations


class LogError(Exception):
    """Base of the log's errors."""


class DatabaseUnavailable(LogError):
    """PostgreSQL is away. The command may or may not be in the log: repeat it with its key."""


class Overloaded(LogError):
    """Too many commands wait for the log. Come back after `retry_after` seconds."""

    retry_after = 1


class EpochChanged(LogError):
    """The log began a new epoch (restore or failover): tokens and positions of the old one are void."""


class Refused(LogError):
    """PostgreSQL is there and will not have us, so that waiting is of no use. `setting` names the URL."""

    def __init__(self, setting: str, place: str, said: str) -> None:
        super().__init__(f"{place}: {said}")
        self.setting, self.said = setting, said
