from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from camera import Fix, TimeQuality
from edge.clock import EARLIEST, FLOOR_FILE, LinuxKernel, SystemClock
from tests.clocks import BOOT_ID, START, FakeKernel

HOUR = timedelta(hours=1)


def fix_at(at: datetime) -> Fix:
    return Fix(at=at, latitude_deg=0.5, longitude_deg=0.5)


def anchored(clock: SystemClock, kernel: FakeKernel, at: datetime) -> None:
    """Two reports, as a receiver sends them each second, the first one second before *at*."""
    clock.anchor(fix_at(at - timedelta(seconds=1)), kernel.monotonic - 1_000_000_000)
    clock.anchor(fix_at(at), kernel.monotonic)


def test_moment_carries_boot_wall_and_monotonic_time_of_the_machine(tmp_path: Path) -> None:
    kernel = FakeKernel()
    moment = SystemClock(tmp_path, kernel).now()
    assert moment.utc == START
    assert moment.monotonic_ns == kernel.monotonic
    assert moment.boot_id == BOOT_ID
    assert moment.quality is TimeQuality.UNSYNCHRONISED


def test_kernel_that_says_synchronised_gives_synchronised_moments(tmp_path: Path) -> None:
    kernel = FakeKernel()
    kernel.is_synchronised = True
    assert SystemClock(tmp_path, kernel).now().quality is TimeQuality.SYNCHRONISED


def test_moment_of_an_earlier_picture_lies_as_far_back_as_the_monotonic_clock_says(tmp_path: Path) -> None:
    kernel = FakeKernel()
    clock = SystemClock(tmp_path, kernel)
    assert clock.moment_of(kernel.monotonic - 250_000_000).utc == START - timedelta(seconds=0.25)


def test_two_agreeing_fixes_replace_a_wrong_unsynchronised_wall_clock(tmp_path: Path) -> None:
    kernel = FakeKernel(wall=datetime(1970, 1, 1, tzinfo=UTC))
    clock = SystemClock(tmp_path, kernel)
    anchored(clock, kernel, START)
    kernel.advance(10)
    assert clock.now().utc == START + timedelta(seconds=10)
    assert clock.now().quality is TimeQuality.GPS


def test_wall_clock_jump_after_an_anchor_moves_no_gps_time(tmp_path: Path) -> None:
    kernel = FakeKernel()
    clock = SystemClock(tmp_path, kernel)
    anchored(clock, kernel, START)
    kernel.set_wall(START + timedelta(days=400))
    assert clock.now().utc == START


def test_single_wrong_fix_changes_neither_time_nor_floor(tmp_path: Path) -> None:
    kernel = FakeKernel()
    clock = SystemClock(tmp_path, kernel)
    anchored(clock, kernel, START)
    clock.anchor(fix_at(START + 9 * HOUR), kernel.monotonic)
    assert clock.now().utc == START
    assert clock.floor <= START
    anchored(clock, kernel, START)
    assert clock.now().utc == START


def test_late_reports_do_not_make_the_time_waver(tmp_path: Path) -> None:
    kernel = FakeKernel()
    clock = SystemClock(tmp_path, kernel)
    anchored(clock, kernel, START)
    for second, delay_s in enumerate((0.1, 0.4, 0.0, 0.3), start=1):
        kernel.advance(1)
        clock.anchor(fix_at(START + timedelta(seconds=second)), kernel.monotonic + round(delay_s * 1e9))
        assert clock.now().utc == START + timedelta(seconds=second)


def test_synchronised_system_clock_is_preferred_to_gps(tmp_path: Path) -> None:
    kernel = FakeKernel()
    clock = SystemClock(tmp_path, kernel)
    anchored(clock, kernel, START + timedelta(seconds=1))
    kernel.is_synchronised = True
    assert clock.now().utc == START
    assert clock.now().quality is TimeQuality.SYNCHRONISED


def test_fix_of_a_receiver_whose_week_count_rolled_over_is_not_taken(tmp_path: Path) -> None:
    kernel = FakeKernel()
    clock = SystemClock(tmp_path, kernel)
    anchored(clock, kernel, START - timedelta(weeks=1024))
    assert clock.now().utc == START
    assert clock.now().quality is TimeQuality.UNSYNCHRONISED


def test_clock_that_starts_in_the_past_is_lifted_to_the_floor_and_runs_on_from_it(tmp_path: Path) -> None:
    (tmp_path / FLOOR_FILE).write_text("2026-06-01T12:00:00+00:00\n")
    kernel = FakeKernel(wall=datetime(1970, 1, 1, tzinfo=UTC))
    clock = SystemClock(tmp_path, kernel)
    assert clock.now().utc == START
    kernel.advance(90)
    assert clock.now().utc == START + timedelta(seconds=90)
    assert clock.now().quality is TimeQuality.UNSYNCHRONISED


def test_synchronised_wall_clock_before_the_floor_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / FLOOR_FILE).write_text("2026-06-01T12:00:00+00:00\n")
    kernel = FakeKernel(wall=START - HOUR)
    kernel.is_synchronised = True
    moment = SystemClock(tmp_path, kernel).now()
    assert moment.utc == START
    assert moment.quality is TimeQuality.UNSYNCHRONISED


def test_unit_without_a_floor_is_never_before_this_software_was_written(tmp_path: Path) -> None:
    assert SystemClock(tmp_path, FakeKernel(wall=datetime(1970, 1, 1, tzinfo=UTC))).now().utc == EARLIEST


def test_untrusted_wall_clock_in_the_far_future_does_not_raise_the_floor(tmp_path: Path) -> None:
    kernel = FakeKernel(wall=datetime(2090, 1, 1, tzinfo=UTC))
    clock = SystemClock(tmp_path, kernel)
    clock.now()
    assert clock.keep_floor()
    assert clock.floor == EARLIEST
    anchored(clock, kernel, START)
    assert clock.now().utc == START


def test_floor_is_written_at_most_once_a_minute(tmp_path: Path) -> None:
    kernel = FakeKernel()
    clock = SystemClock(tmp_path, kernel)
    assert clock.keep_floor()
    kernel.advance(59)
    assert not clock.keep_floor()
    kernel.advance(1)
    assert clock.keep_floor()
    assert sorted(path.name for path in tmp_path.iterdir()) == [FLOOR_FILE]


def test_trusted_time_survives_a_power_cut_as_the_floor(tmp_path: Path) -> None:
    kernel = FakeKernel()
    clock = SystemClock(tmp_path, kernel)
    anchored(clock, kernel, START)
    clock.now()
    clock.keep_floor()
    reborn = SystemClock(tmp_path, FakeKernel(wall=datetime(1970, 1, 1, tzinfo=UTC), monotonic_ns=1))
    assert timedelta(0) <= START - reborn.now().utc <= timedelta(seconds=3)


@pytest.mark.parametrize(
    "content", ["", "yesterday", "2026-06-01T12:00:00", "2999-01-01T00:00:00+00:00", "\0"]
)
def test_broken_floor_file_is_set_aside_and_told_of(tmp_path: Path, content: str) -> None:
    (tmp_path / FLOOR_FILE).write_text(content)
    clock = SystemClock(tmp_path, FakeKernel())
    assert clock.now().utc == START
    assert clock.floor_error is not None and "\n" not in clock.floor_error
    assert (tmp_path / (FLOOR_FILE + ".broken")).exists()
    assert clock.keep_floor()
    assert SystemClock(tmp_path, FakeKernel()).floor_error is None


seconds = st.integers(86_400, 3_755_376_000)  # 1970 to 2089
moments = seconds.map(lambda since: datetime.fromtimestamp(since, UTC))
events = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.floats(0, 4000)),
        st.tuples(st.just("nudge"), st.floats(-3, 3)),
        st.tuples(st.just("step"), moments),
        st.tuples(st.just("sync"), st.booleans()),
        st.tuples(st.just("fix"), moments),
        st.tuples(st.just("boot"), moments),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=events)
def test_floor_never_falls_and_no_moment_lies_before_it(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, object]]
) -> None:
    state_dir = tmp_path_factory.mktemp("state")
    kernel = FakeKernel()
    clock = SystemClock(state_dir, kernel)
    floor = clock.floor
    on_disk = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    for kind, value in events:
        if isinstance(value, float) and kind == "nudge":
            kernel.set_wall(clock.now().utc + timedelta(seconds=value))
        elif isinstance(value, float):
            kernel.advance(value)
        elif isinstance(value, bool):
            kernel.is_synchronised = value
        elif isinstance(value, datetime) and kind == "step":
            kernel.set_wall(value)
        elif isinstance(value, datetime) and kind == "fix":
            anchored(clock, kernel, value)
        elif isinstance(value, datetime):
            # A restart of the machine: only the file knows the floor.
            kernel = FakeKernel(wall=value, monotonic_ns=1)
            clock = SystemClock(state_dir, kernel)
            floor = on_disk
        assert clock.now().utc >= clock.floor >= floor
        floor = clock.floor
        if clock.keep_floor():
            written = datetime.fromisoformat((state_dir / FLOOR_FILE).read_text().strip())
            assert written >= on_disk
            on_disk = written


def test_this_machine_answers_every_question_of_the_clock() -> None:
    kernel = LinuxKernel()
    assert abs(kernel.wall_ns() / 1e9 - datetime.now(UTC).timestamp()) < 5
    assert kernel.monotonic_ns() <= kernel.monotonic_ns()
    assert kernel.synchronised() in (True, False)
    assert len(kernel.boot_id()) == 36
