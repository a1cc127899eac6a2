"""Everything an endpoint may use, in one value that is handed around: no globals."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from msgspec import Struct, field

from ..broker.actions import Actions
from ..broker.drain import Drains
from ..broker.duties import Duties
from ..broker.engine import Engine
from ..broker.payload_schemas import PayloadSchemas
from ..events.appender import Appender
from ..events.beginnings import Beginnings
from ..events.names import Names
from ..events.pool import Pool
from ..events.signing import SigningRing
from ..events.tail import Tail
from ..events.vault import Vault
from ..projections.day import Day
from ..projections.runner import Runner
from ..projections.series import Series
from ..settings import Settings
from .access import Access
from .auth import Attempts, Authenticator
from .export import Slots
from .field_names import FieldNames

if TYPE_CHECKING:
    from .hub import Hub
    from .metrics import Metrics
    from .stream import Places
    from .worker_sessions import Protocol


class Services(Struct, eq=False, kw_only=True):
    """One of each a process."""

    settings: Settings
    engine: Engine
    drains: Drains
    actions: Actions
    duties: Duties
    schemas: PayloadSchemas
    projections: Runner
    tail: Tail
    beginnings: Beginnings
    access: Access
    auth: Authenticator
    attempts: Attempts
    hub: Hub
    places: Places
    metrics: Metrics
    protocol: Protocol
    signing: SigningRing | None  # None: this process has no key to seal with
    exports: Slots = field(default_factory=Slots)
    field_names: FieldNames = field(default_factory=FieldNames)
    series: Series = field(default_factory=Series)
    day: Day = field(default_factory=Day)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pool(self) -> Pool:
        return self.engine.pool

    @property
    def appender(self) -> Appender:
        return self.engine.appender

    @property
    def names(self) -> Names:
        return self.engine.names

    @property
    def vault(self) -> Vault:
        return self.engine.vault
