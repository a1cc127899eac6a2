"""Every event ever written can be read: golden files of each type and schema version."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hivelog.events import types
from hivelog.events.upcast import STEPS, upcast
from hypothesis import given
from hypothesis import strategies as st

_FOLDER = Path(__file__).parent / "golden"
_FILES = sorted(_FOLDER.glob("*.json"))
_MIGRATION = Path(__file__).parent.parent / "sql" / "migrations" / "0001_log.sql"


def _golden(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _version(path: Path) -> str:
    """`config_changed.1` of `config_changed.1.encryption.json` as of `config_changed.1.json`."""
    return ".".join(path.stem.split(".")[:2])


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.stem)
def test_decodes_and_encodes_the_same_again(path: Path) -> None:
    golden = _golden(path)
    assert _version(path) == f"{golden['type']}.{golden['schema']}"
    data = types.decode(golden["type"], golden["schema"], golden["data"])
    entry = types.REGISTRY[golden["type"]]
    assert type(data) is entry.struct
    again = types.encode(data)
    assert types.decode(golden["type"], entry.schema, again) == data
    if golden["schema"] == entry.schema:
        assert (None if again is None else json.loads(again)) == golden["data"]


def test_golden_files_set_every_field() -> None:
    """Together: a field that came later, without a new schema, stands in a file of its own."""
    seen: dict[str, set[str]] = {}
    for golden in map(_golden, _FILES):
        if golden["schema"] == types.REGISTRY[golden["type"]].schema and golden["data"] is not None:
            seen.setdefault(golden["type"], set()).update(golden["data"])
    for name, found in seen.items():
        fields = msgspec.structs.fields(types.REGISTRY[name].struct)
        assert found == {field.name for field in fields}, name


def test_every_schema_ever_written_has_a_file() -> None:
    expected = {
        f"{name}.{schema}"
        for name, entry in types.REGISTRY.items()
        for schema in range(1, entry.schema + 1)
    }
    assert {_version(path) for path in _FILES} == expected


def test_registry_and_database_know_the_same_types() -> None:
    text = _MIGRATION.read_text(encoding="utf-8")
    enum = text.split("create type hivelog.event_type as enum (")[1].split(");")[0]
    assert set(re.findall(r"'(\w+)'", enum)) == set(types.REGISTRY)


def test_every_former_schema_has_a_step() -> None:
    steps = {(name, s) for name, entry in types.REGISTRY.items() for s in range(1, entry.schema)}
    assert set(STEPS) == steps


def test_unknown_types_and_schemas_are_opaque_and_counted() -> None:
    types.skipped.clear()
    assert types.decode("teleported", 1, {"to": "mars"}) == types.Opaque(
        "teleported", 1, {"to": "mars"}
    )
    assert types.decode("failed", 99, b'{"cause": 7}') == types.Opaque("failed", 99, {"cause": 7})
    types.decode("teleported", 1, None)
    assert types.skipped == {("teleported", 1): 2, ("failed", 99): 1}


def test_fields_of_a_newer_version_are_ignored_and_bad_data_is_not() -> None:
    assert types.decode("expired", 1, {"cause": "timeout", "mood": 1}) == types.Expired("timeout")
    with pytest.raises(msgspec.ValidationError):
        types.decode("expired", 1, {"cause": 5})
    with pytest.raises(msgspec.ValidationError):
        types.decode("expired", 1, None)


# A type that changed twice: a field got a name, then a unit.
_STEPS = {
    ("moved", 1): lambda data: {"seconds": data.get("delay", 0)},
    ("moved", 2): lambda data: {"milliseconds": data["seconds"] * 1000},
}


@given(st.integers(1, 5), st.integers(0, 9), st.sampled_from(["moved", "other"]))
def test_upcasting_is_total_pure_and_idempotent(schema: int, delay: int, name: str) -> None:
    old = {1: {"delay": delay}, 2: {"seconds": delay}}.get(schema, {"milliseconds": delay})
    before = dict(old)
    reached, data = upcast(name, schema, old, _STEPS)
    assert old == before
    assert upcast(name, reached, data, _STEPS) == (reached, data)
    if name == "moved":
        factor = 1000 if schema < 3 else 1
        assert (reached, data) == (max(schema, 3), {"milliseconds": delay * factor})
    else:
        assert (reached, data) == (schema, old)
