"""What is sealed opens at the department, whole, in its place, or not at all."""

import dataclasses

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from sync.batch import SealedRead
from sync.errors import SealBrokenError
from sync.seal import EpochOpener, EpochSealer, WindowOpener
from tests.fakes import UNIT

DEPARTMENT = X25519PrivateKey.generate()
WINDOW_KEY = bytes(range(32))
SEALER = EpochSealer(UNIT, DEPARTMENT.public_key())
OPENER = EpochOpener(SEALER.epoch, DEPARTMENT)


@given(st.binary(max_size=2000), st.integers(0, 600))
def test_any_record_opens_to_the_same_bytes(record: bytes, zeros: int) -> None:
    for whole in (record, record + bytes(zeros), record + b"\x80" + bytes(zeros)):
        assert OPENER.open(SEALER.seal("r1", whole)) == whole


def test_every_flipped_bit_of_a_sealed_read_is_refused() -> None:
    read = SEALER.seal("r1", b"a record")
    for place in range(len(read.sealed)):
        altered = read.sealed[:place] + bytes([read.sealed[place] ^ 1]) + read.sealed[place + 1 :]
        with pytest.raises(SealBrokenError, match="r1"):
            OPENER.open(dataclasses.replace(read, sealed=altered))


def test_a_sealed_read_cut_short_is_refused() -> None:
    read = SEALER.seal("r1", b"a record")
    for end in range(len(read.sealed)):
        with pytest.raises(SealBrokenError):
            OPENER.open(dataclasses.replace(read, sealed=read.sealed[:end]))


def test_every_flipped_bit_of_a_sealed_epoch_key_is_refused() -> None:
    key = SEALER.epoch.sealed_key
    for place in range(len(key)):
        # X25519 leaves the top bit of a public key out (RFC 7748 §5); HPKE binds it nevertheless.
        altered = key[:place] + bytes([key[place] ^ 0x80]) + key[place + 1 :]
        with pytest.raises(SealBrokenError):
            EpochOpener(dataclasses.replace(SEALER.epoch, sealed_key=altered), DEPARTMENT)


def test_an_epoch_key_cut_short_is_refused() -> None:
    for end in (0, 1, 31, 32, 33, 79):
        with pytest.raises(SealBrokenError):
            EpochOpener(
                dataclasses.replace(SEALER.epoch, sealed_key=SEALER.epoch.sealed_key[:end]), DEPARTMENT
            )


@pytest.mark.parametrize("change", [{"unit_id": "unit-08"}, {"epoch_id": "0" * 32}])
def test_an_epoch_key_shown_as_another_units_or_epochs_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(SealBrokenError):
        EpochOpener(dataclasses.replace(SEALER.epoch, **change), DEPARTMENT)  # type: ignore[arg-type]  # str only


def test_another_department_opens_nothing() -> None:
    with pytest.raises(SealBrokenError):
        EpochOpener(SEALER.epoch, X25519PrivateKey.generate())


def test_two_reads_swapped_are_both_refused() -> None:
    first, second = SEALER.seal("r1", b"one"), SEALER.seal("r2", b"two")
    for read_id, other in (("r1", second), ("r2", first)):
        with pytest.raises(SealBrokenError):
            OPENER.open(dataclasses.replace(other, read_id=read_id))


def test_a_read_of_another_epoch_is_refused() -> None:
    other = EpochSealer(UNIT, DEPARTMENT.public_key())
    read = other.seal("r1", b"a record")
    with pytest.raises(SealBrokenError):
        OPENER.open(dataclasses.replace(read, epoch_id=SEALER.epoch.epoch_id))


def test_no_nonce_is_used_twice_in_an_epoch() -> None:
    sealer = EpochSealer(UNIT, DEPARTMENT.public_key())
    nonces = [sealer.seal("r1", b"same").sealed[:12] for _ in range(500)]
    assert len(set(nonces)) == 500


def test_the_length_of_a_sealed_read_tells_nothing_of_a_short_records_length() -> None:
    assert len({len(SEALER.seal("r1", b"x" * length).sealed) for length in range(511)}) == 1


def test_what_is_sealed_is_not_shown_by_repr() -> None:
    shown = repr(SEALER.seal("r1", b"a record")) + repr(SEALER.epoch)
    assert "sealed" not in shown.replace("SealedRead", "").replace("SealedEpoch", "")


def test_binding_keeps_names_apart_that_join_to_the_same_text() -> None:
    one = EpochSealer("ab", DEPARTMENT.public_key())
    moved = dataclasses.replace(one.epoch, unit_id="a", epoch_id="b" + one.epoch.epoch_id)
    with pytest.raises(SealBrokenError):
        EpochOpener(moved, DEPARTMENT)


def test_what_was_sealed_opens_with_the_epochs_key_wrapped_for_the_window() -> None:
    wrapped = SEALER.wrapped(WINDOW_KEY)
    opener = WindowOpener(SEALER.epoch, wrapped, WINDOW_KEY)
    assert opener.open(SEALER.seal("r1", b"a record")) == b"a record"
    assert not hasattr(opener, "seal")
    with pytest.raises(SealBrokenError):
        opener.open(dataclasses.replace(SEALER.seal("r1", b"a record"), read_id="r2"))


@pytest.mark.parametrize("what", ["key", "epoch", "unit", "bit", "empty"])
def test_wrapped_key_opens_for_its_own_epoch_and_window_alone(what: str) -> None:
    epoch, wrapped, key = SEALER.epoch, SEALER.wrapped(WINDOW_KEY), WINDOW_KEY
    if what == "key":
        key = bytes(32)
    elif what == "epoch":
        epoch = EpochSealer(UNIT, DEPARTMENT.public_key()).epoch
    elif what == "unit":
        epoch = dataclasses.replace(epoch, unit_id="unit-08")
    else:
        wrapped = wrapped[:-1] + bytes([wrapped[-1] ^ 1]) if what == "bit" else b""
    with pytest.raises(SealBrokenError, match="not in this window"):
        WindowOpener(epoch, wrapped, key)


def test_key_wrapped_twice_is_wrapped_differently() -> None:
    assert SEALER.wrapped(WINDOW_KEY) != SEALER.wrapped(WINDOW_KEY)


def test_an_empty_sealed_read_is_refused() -> None:
    with pytest.raises(SealBrokenError):
        OPENER.open(SealedRead("r1", SEALER.epoch.epoch_id, b""))
