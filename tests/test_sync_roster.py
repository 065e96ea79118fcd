"""The roster in bytes: one form, and nothing taken that is no roster."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync import wire
from sync.errors import WireFormatError
from sync.roster import Role, RosterUser, decode_roster, encode_roster
from tests.pages import HASH, a_roster


def test_a_roster_comes_back_as_it_was() -> None:
    roster = a_roster(7, disabled=True, training_expires=date(2026, 6, 2))
    assert decode_roster(encode_roster(roster)) == roster
    assert roster.find("reyes") is not None and roster.find("nobody") is None


@given(st.binary(max_size=300))
def test_bytes_that_are_no_roster_are_refused(data: bytes) -> None:
    with pytest.raises(WireFormatError):
        decode_roster(data)


@pytest.mark.parametrize(
    "user",
    [
        RosterUser("<b>", Role.OFFICER, HASH, date(2099, 1, 1)),
        RosterUser("", Role.OFFICER, HASH, date(2099, 1, 1)),
        RosterUser("a", Role.OFFICER, "plain password", date(2099, 1, 1)),
        RosterUser("a", Role.OFFICER, HASH.replace("argon2id", "argon2i"), date(2099, 1, 1)),
        RosterUser("a", Role.OFFICER, HASH.replace("m=8", "m=9999999"), date(2099, 1, 1)),
    ],
)
def test_a_person_that_cannot_be_one_is_refused(user: RosterUser) -> None:
    with pytest.raises(WireFormatError):
        decode_roster(encode_roster(replace(a_roster(), users=(user,))))


def test_an_unknown_role_is_refused() -> None:
    fields = wire.loads(encode_roster(a_roster()), "roster")
    fields["users"][0][1] = "god"
    with pytest.raises(WireFormatError):
        decode_roster(wire.dumps(fields))


def test_names_are_sorted_and_come_once() -> None:
    roster = a_roster()
    for users in (roster.users[::-1], (*roster.users, roster.users[-1])):
        with pytest.raises(WireFormatError, match="not sorted, come twice"):
            decode_roster(encode_roster(replace(roster, users=users)))


def test_a_roster_that_expires_before_it_is_issued_is_refused() -> None:
    roster = a_roster()
    for wrong in (replace(roster, expires_at=roster.issued_at), replace(roster, version=0)):
        with pytest.raises(WireFormatError):
            decode_roster(encode_roster(wrong))
    assert roster.expires_at - roster.issued_at > timedelta(days=30)


def test_no_hash_stands_in_a_repr() -> None:
    assert "argon2" not in repr(a_roster())
