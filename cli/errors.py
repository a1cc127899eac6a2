"""Every error as one line that says what to do next; the whole story with --debug."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..events.errors import LogError

FAILED: Final = 1
MISUSED: Final = 2


class CommandError(Exception):
    """The command could not be done. `message` is one line; `todo` says what helps, if we know."""

    def __init__(self, message: str, todo: str | None = None, *, status: int = FAILED) -> None:
        super().__init__(message)
        self.message, self.todo, self.status = message, todo, status

    def __str__(self) -> str:
        return self.message if self.todo is None else f"{self.message}: {self.todo}"


_TODO: Final[Mapping[str, str]] = {
    "unauthenticated": "give the server's token with --token or HIVELOG_ADMIN_TOKEN",
    "forbidden": "use a token with more rights",
    "unknown_queue": "`hivelog queues` lists them, `hivelog queues NAME --set` makes one",
    "not_found": "`hivelog jobs` lists them",
    "already_finished": "`hivelog job ID` shows how it ended",
    "not_finished": "only failed, expired and cancelled jobs run again; `hivelog job ID` shows its state",
    "too_large": "raise max_message_size with `hivelog config`, or send less",
    "conflict": "look again with `hivelog job ID` or `hivelog queues`, then repeat it",
    "idempotency_mismatch": "use another --idempotency-key",
    "overloaded": "too much waits for the log; try again in a second",
    "database_unavailable": "is PostgreSQL running? `hivelog doctor` looks",
    "too_many": "is `hivelog serve` running there?",
    "disabled": "set MESSAGING_QUEUE_ENABLED=true",
    "projection_behind": "is `hivelog serve` running? `hivelog doctor` shows the lag",
}


def explain(error: BaseException) -> CommandError | None:
    """The error in words; None for one that nobody foresaw."""
    if isinstance(error, CommandError):
        return error
    for known in _family(error):
        return known
    return None


def _family(error: BaseException) -> Iterator[CommandError]:
    """Imported here: a command that fails early should not wait for modules it does not use."""
    import psycopg

    from ..broker.errors import Rejected
    from ..broker.registry import HandlerError
    from ..client.errors import HivelogError
    from ..embedded import EmbeddedError
    from ..events.errors import LogError
    from ..events.keyring import VaultError
    from ..settings import SettingsError
    from ..sql.migrate import MigrationError

    if isinstance(error, SettingsError):
        yield CommandError(str(error), status=MISUSED)
    if isinstance(error, Rejected | HivelogError):
        yield CommandError(_words(error.message, error.detail), _TODO.get(error.code))
    if isinstance(error, HandlerError):
        yield CommandError(str(error), "--handlers takes names of modules that can be imported from here")
    if isinstance(error, EmbeddedError | MigrationError | VaultError):
        yield CommandError(str(error))
    if isinstance(error, psycopg.Error):
        yield database(error)
    if isinstance(error, LogError):
        yield _of_the_log(error)
    if isinstance(error, OSError) and error.strerror:
        yield CommandError(f"{error.filename or 'the system'}: {error.strerror}")


def _words(message: str, detail: Mapping[str, object]) -> str:
    """With the state of the job that the refusal is about."""
    status = detail.get("status")
    return f"{message} (it is {status})" if isinstance(status, str) else message


def _of_the_log(error: LogError) -> CommandError:
    """One that refuses us runs; its words are English only where its administrator wants them so."""
    from ..events.errors import Refused

    if not isinstance(error, Refused):
        return CommandError(str(error) or "PostgreSQL is away", _TODO["database_unavailable"])
    if "password" in error.said or "role" in error.said:
        todo = f"check the user and the password in {error.setting}"
    elif 'database "' in error.said and "does not exist" in error.said:
        todo = f"make it with `createdb`, or check its name in {error.setting}"
    else:
        todo = f"check user, password, database and TLS in {error.setting}"
    return CommandError(f"PostgreSQL refuses us: {error}", todo)


def database(error: Exception) -> CommandError:
    """PostgreSQL's own words, first line only: the rest repeats them, and may hold the statement."""
    import psycopg

    said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, psycopg.errors.InvalidSchemaName | psycopg.errors.UndefinedTable):
        return CommandError(f"the schema is not there ({said})", "run `hivelog migrate`")
    if isinstance(error, psycopg.errors.UndefinedFunction | psycopg.errors.UndefinedColumn):
        return CommandError(f"the schema is of another version ({said})", "run `hivelog migrate`")
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return CommandError(said, "`hivelog doctor` says which right is missing")
    if getattr(error, "sqlstate", None) == psycopg.errors.ReadOnlySqlTransaction.sqlstate:
        return CommandError(f"PostgreSQL: {said}", "is it a standby? check DATABASE_URL")
    if isinstance(error, psycopg.OperationalError):
        return CommandError(f"PostgreSQL: {said}", "is it running? check DATABASE_URL")
    return CommandError(f"PostgreSQL: {said}")
