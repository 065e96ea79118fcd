from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotlist_cache.config import HotlistConfig
from hotlist_cache.entry import Priority
from hotlist_cache.hit import HotlistHit, ListAge, MatchKind, Outcome, StateMatch
from hotlist_cache.policy import AlertPolicy
from tests.hotlists import CONFIG, EXPIRES, ISSUED, NOW, a_read, an_entry

SECOND = timedelta(seconds=1)
COOLDOWN = timedelta(seconds=CONFIG.cooldown_s)


def a_policy(config: HotlistConfig = CONFIG) -> AlertPolicy:
    count = iter(range(1_000_000))
    return AlertPolicy(config, lambda: f"alert-{next(count)}")


def a_hit(
    plate: str = "7ABC123",
    entry_id: str = "entry",
    *,
    kind: MatchKind = MatchKind.EXACT,
    state: StateMatch = StateMatch.SAME,
    priority: Priority = Priority.HIGH,
    age: ListAge | None = None,
) -> HotlistHit:
    entry = an_entry("7ABC123", entry_id, priority=priority)
    return HotlistHit("hit", a_read(plate), entry, kind, state, (), age or ListAge(1, ISSUED, EXPIRES))


def test_hit_is_told_with_its_entrys_priority_and_the_moment_it_settled() -> None:
    alert = a_policy().decide(a_hit(), NOW + SECOND)
    assert alert is not None
    assert (alert.priority, alert.raised_at, alert.advisory_only) == (Priority.HIGH, NOW, False)


def test_hit_of_another_state_is_not_told() -> None:
    assert a_policy().decide(a_hit(state=StateMatch.DIFFERENT), NOW) is None


def test_hit_too_unlikely_is_not_told_and_starts_no_cooldown() -> None:
    policy = a_policy()
    assert policy.decide(replace(a_hit(), outcome=Outcome.NONE), NOW) is None
    assert policy.decide(a_hit(), NOW) is not None


def test_plate_of_a_corrected_alert_is_told_again_at_once() -> None:
    policy = a_policy()
    alert = policy.decide(a_hit(), NOW)
    assert alert is not None and policy.decide(a_hit(), NOW + SECOND) is None
    policy.corrected(alert)
    assert policy.decide(a_hit(), NOW + 2 * SECOND) is not None


def test_hit_of_another_state_starts_no_cooldown() -> None:
    policy = a_policy()
    policy.decide(a_hit(state=StateMatch.DIFFERENT), NOW)
    assert policy.decide(a_hit(), NOW) is not None


DOUBTS = [
    a_hit(state=StateMatch.UNKNOWN),
    replace(a_hit(), outcome=Outcome.POSSIBLE),
    replace(a_hit(kind=MatchKind.LOOK_ALIKE, state=StateMatch.UNKNOWN), outcome=Outcome.POSSIBLE),
    replace(a_hit(), read=a_read("7ABC123", confidence=0.49)),
    replace(a_hit(), read=a_read("7ABC123", frames=1)),
    a_hit(age=ListAge(1, NOW - timedelta(hours=25))),
]


@pytest.mark.parametrize("hit", DOUBTS)
@pytest.mark.parametrize(
    ("listed", "told"),
    [(Priority.HIGH, Priority.MEDIUM), (Priority.MEDIUM, Priority.LOW), (Priority.LOW, Priority.LOW)],
)
def test_doubt_lowers_the_priority_by_one(hit: HotlistHit, listed: Priority, told: Priority) -> None:
    alert = a_policy().decide(replace(hit, entry=replace(hit.entry, priority=listed)), NOW)
    assert alert is not None and alert.priority is told


def test_partial_plate_is_no_doubt() -> None:
    alert = a_policy().decide(a_hit(kind=MatchKind.WILDCARD), NOW)
    assert alert is not None and alert.priority is Priority.HIGH


@pytest.mark.parametrize(
    ("issued_at", "expires_at", "advisory"),
    [
        (NOW - timedelta(hours=24), None, False),
        (NOW - timedelta(hours=24) - SECOND, None, True),
        (NOW - timedelta(hours=1), NOW, True),
        (NOW - timedelta(hours=1), NOW + SECOND, False),
        (NOW + timedelta(minutes=10), None, False),
        (NOW + timedelta(minutes=10) + SECOND, None, True),
    ],
)
def test_alert_of_a_stale_list_is_advisory(
    issued_at: datetime, expires_at: datetime | None, advisory: bool
) -> None:
    alert = a_policy().decide(a_hit(age=ListAge(1, issued_at, expires_at)), NOW)
    assert alert is not None and alert.advisory_only is advisory


def test_same_plate_and_entry_are_told_again_only_after_the_cooldown() -> None:
    policy = a_policy()
    assert policy.decide(a_hit(), NOW) is not None
    assert policy.decide(a_hit(), NOW + COOLDOWN - SECOND) is None
    assert policy.decide(a_hit(), NOW + COOLDOWN) is not None
    assert policy.decide(a_hit(), NOW + COOLDOWN + SECOND) is None


def test_what_is_silenced_does_not_prolong_the_cooldown() -> None:
    policy = a_policy()
    told = [policy.decide(a_hit(), NOW + SECOND * s) is not None for s in range(0, 700, 100)]
    assert told == [True, False, False, True, False, False, True]


def test_surer_hit_of_the_same_plate_and_entry_is_told_at_once() -> None:
    policy = a_policy()
    assert policy.decide(a_hit(state=StateMatch.UNKNOWN), NOW) is not None
    assert policy.decide(a_hit(), NOW + SECOND) is not None
    assert policy.decide(a_hit(state=StateMatch.UNKNOWN), NOW + SECOND * 2) is None


def test_clock_set_back_silences_nothing() -> None:
    policy = a_policy()
    assert policy.decide(a_hit(), NOW) is not None
    assert policy.decide(a_hit(), NOW - timedelta(hours=1)) is not None


def test_memory_holds_no_more_than_one_cooldown() -> None:
    policy = a_policy()
    for number in range(1000):
        policy.decide(a_hit(entry_id=f"entry-{number}"), NOW + SECOND * 10 * number)
    assert len(policy._told) <= 31


PLATES = st.sampled_from(["7ABC123", "7A8C123", "9XYZ999"])
HITS = st.builds(
    a_hit,
    plate=PLATES,
    entry_id=st.sampled_from("abc"),
    kind=st.sampled_from(MatchKind),
    state=st.sampled_from(StateMatch),
    priority=st.sampled_from(Priority),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(HITS, st.integers(-400, 400)), max_size=20))
def test_only_an_alert_of_the_same_plate_and_entry_silences_a_hit(
    steps: list[tuple[HotlistHit, int]],
) -> None:
    policy = a_policy()
    told: list[tuple[tuple[str, str], datetime, Priority]] = []
    now = NOW
    for hit, seconds in steps:
        now += SECOND * seconds
        key = (hit.read.plate, hit.entry.entry_id)
        alert = policy.decide(hit, now)
        if alert is not None:
            told.append((key, now, alert.priority))
        elif hit.state is not StateMatch.DIFFERENT:
            assert any(of == key and timedelta() <= now - at < COOLDOWN for of, at, _ in told)


@pytest.mark.parametrize("change", [{"max_shrink": 1.5}, {"hit_probability": -0.1}, {"sure_confidence": 2.0}])
def test_share_outside_0_and_1_is_no_setting(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        HotlistConfig(**change)


def test_possible_lies_between_nothing_and_a_hit() -> None:
    for possible in (0.0, 0.6):
        with pytest.raises(ValueError, match="possible_probability"):
            HotlistConfig(possible_probability=possible)


@pytest.mark.parametrize("change", [{"max_age_h": -1.0}, {"cooldown_s": float("nan")}, {"sure_frames": -1}])
def test_negative_time_or_count_is_no_setting(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        HotlistConfig(**change)
