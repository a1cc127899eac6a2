"""What callers may ask for, and what becomes of it in the log."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hivelog.events import queue, spec, types
from hivelog.events.fields import InvalidField
from hivelog.events.queue import DEFAULT_QUEUES, QueueConfig, Scaling
from hypothesis import given
from hypothesis import strategies as st

REPORTS = DEFAULT_QUEUES["reports"]
PARENT = "0190163d-8694-739b-aea5-966c26f8ad91"


def test_the_queue_gives_what_the_job_does_not() -> None:
    prepared = spec.prepare("report_generation", REPORTS)
    assert json.loads(prepared.encoded) == {
        "type": "report_generation",
        "priority": 200,
        "max_retries": 2,
        "retry_delay": 120,
        "timeout": 1800,
    }
    assert (prepared.due_at, prepared.expires_at, prepared.correlation) == (None, None, None)


def test_every_option_is_kept() -> None:
    prepared = spec.prepare(
        "a.b:c-d_E",
        REPORTS,
        {
            "priority": 0,
            "max_retries": 0,
            "retry_delay": 0,
            "retry_backoff": "exponential",
            "timeout": None,
            "scheduled_for": "2030-01-31T10:00:00+01:00",
            "expires_at": datetime(2030, 1, 31, 9, 0, 1, tzinfo=UTC),
            "source": "app",
            "correlation_id": "req-1",
            "tags": ["b", "a", "b"],
            "parent_id": PARENT.upper(),
        },
        idempotency=True,
    )
    assert json.loads(prepared.encoded) == {
        "type": "a.b:c-d_E",
        "priority": 0,
        "max_retries": 0,
        "retry_delay": 0,
        "retry_backoff": "exponential",
        "scheduled_for": "2030-01-31T09:00:00.000Z",
        "expires_at": "2030-01-31T09:00:01.000Z",
        "source": "app",
        "tags": ["b", "a"],
        "parent_id": PARENT,
        "correlation_id": "req-1",
        "idempotency": True,
    }
    assert prepared.due_at == 1_896_080_400_000
    assert prepared.expires_at == prepared.due_at + 1000
    assert prepared.correlation == "req-1"
    assert types.decode("enqueued", 1, prepared.encoded) == prepared.spec


def test_none_means_not_given_except_for_the_timeout() -> None:
    prepared = spec.prepare("t", REPORTS, {"priority": None, "tags": None, "source": None})
    assert prepared == spec.prepare("t", REPORTS)
    assert spec.prepare("t", REPORTS, {"timeout": None}).spec.timeout is None


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"priority": -1}, "priority"),
        ({"priority": 1001}, "priority"),
        ({"priority": "high"}, "priority"),
        ({"priority": True}, "priority"),
        ({"priority": 1.0}, "priority"),
        ({"max_retries": 1001}, "max_retries"),
        ({"retry_delay": 30 * 86_400 + 1}, "retry_delay"),
        ({"retry_backoff": "linear"}, "retry_backoff"),
        ({"retry_backoff": ["fixed"]}, "retry_backoff"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": 7 * 86_400 + 1}, "timeout"),
        ({"scheduled_for": "tomorrow"}, "scheduled_for"),
        ({"scheduled_for": 1_700_000_000}, "scheduled_for"),
        ({"scheduled_for": datetime(2030, 1, 1)}, "scheduled_for"),  # noqa: DTZ001
        ({"scheduled_for": "2030-01-01T00:00:00Z", "expires_at": "2030-01-01T00:00:00Z"},
         "expires_at"),
        ({"source": ""}, "source"),
        ({"source": "x" * 201}, "source"),
        ({"source": "a\0b"}, "source"),
        ({"correlation_id": 5}, "correlation_id"),
        ({"correlation_id": "\ud800"}, "correlation_id"),
        ({"tags": "nightly"}, "tags"),
        ({"tags": ["x"] * 21}, "tags"),
        ({"tags": ["x" * 65]}, "tags[0]"),
        ({"tags": ["ok", "\0"]}, "tags[1]"),
        ({"tags": [None]}, "tags[0]"),
        ({"parent_id": "17"}, "parent_id"),
        ({"parent_id": 17}, "parent_id"),
        ({"created_at": "2030-01-01T00:00:00Z"}, "created_at"),
        ({"colour": "red"}, "colour"),
    ],
)  # fmt: skip
def test_what_is_out_of_bounds_is_named(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        spec.prepare("t", REPORTS, options)
    assert caught.value.field == field
    assert str(caught.value) == f"{field} {caught.value.reason}"


@pytest.mark.parametrize("name", ["", "a b", "é", "a" * 101, "a\n", "a/b", None, 5, "a\0"])
def test_bad_type_names(name: Any) -> None:
    with pytest.raises(InvalidField) as caught:
        spec.prepare(name, REPORTS)
    assert caught.value.field == "type"


@given(
    st.dictionaries(
        st.sampled_from(["priority", "tags", "source", "timeout", "expires_at", "x", ""]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=5,
        ),
    )
)
def test_any_json_is_taken_or_refused_by_name(options: dict[str, Any]) -> None:
    try:
        prepared = spec.prepare("t", REPORTS, options)
    except InvalidField as error:
        refused = error.field.split("[")[0]
    else:
        refused = None
        assert types.decode("enqueued", 1, prepared.encoded) == prepared.spec
    assert refused is None or refused in options


def test_times_in_any_zone_are_the_same_time() -> None:
    east = datetime(2030, 1, 31, 12, tzinfo=timezone(timedelta(hours=3)))
    one = spec.prepare("t", REPORTS, {"scheduled_for": east})
    assert one == spec.prepare("t", REPORTS, {"scheduled_for": "2030-01-31T09:00:00Z"})


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("default", (100, 3, 60, 5, None, Scaling(1, 5, 20))),
        ("reports", (200, 2, 120, 3, 1800, Scaling(2, 5, 10))),
        ("notifications", (300, 5, 30, 10, 60, Scaling(5, 15, 50))),
        ("background", (50, 2, 300, 2, 3600, Scaling(1, 3, 5))),
    ],
)
def test_the_queues_out_of_the_box(name: str, values: tuple[Any, ...]) -> None:
    config = DEFAULT_QUEUES[name]
    assert (
        config.priority, config.max_retries, config.retry_delay, config.max_workers,
        config.timeout, config.scaling,
    ) == values  # fmt: skip
    assert config.retry_backoff == "fixed"
    assert len(DEFAULT_QUEUES) == 4


def test_a_config_is_written_whole() -> None:
    written = json.loads(types.encode(QueueConfig()) or b"")
    assert written == {
        "priority": 100,
        "max_retries": 3,
        "retry_delay": 60,
        "retry_backoff": "exponential",
        "max_workers": None,
        "timeout": None,
        "scaling": {"min": 1, "max": 5, "threshold": 20},
    }


def test_changes_change_only_what_they_name() -> None:
    changed = queue.configured(
        REPORTS, {"max_workers": None, "timeout": 5, "scaling": {"threshold": 99}}
    )
    assert (changed.max_workers, changed.timeout) == (None, 5)
    assert changed.scaling == Scaling(2, 5, 99)
    assert queue.configured(changed, {}) == changed


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"max_workers": 0}, "max_workers"),
        ({"max_workers": 10_001}, "max_workers"),
        ({"priority": None}, "priority"),
        ({"retry_backoff": None}, "retry_backoff"),
        ({"scaling": 5}, "scaling"),
        ({"scaling": {"min": 6}}, "scaling.max"),
        ({"scaling": {"max": 0}}, "scaling.max"),
        ({"scaling": {"scale_threshold": 1}}, "scaling.scale_threshold"),
        ({"deleted": True}, "deleted"),
        ({"workers": 5}, "workers"),
    ],
)
def test_bad_configs_are_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidField) as caught:
        queue.configured(REPORTS, changes)
    assert caught.value.field == field


def test_queue_names() -> None:
    assert queue.queue_name("reports-2_x") == "reports-2_x"
    for name in ("", "Reports", "a b", "a" * 65, "a\n", "a/b", 5, None):
        with pytest.raises(InvalidField):
            queue.queue_name(name)
