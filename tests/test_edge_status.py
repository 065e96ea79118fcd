"""The status a daemon writes, and what is made of one that is missing, old or foreign."""

from dataclasses import replace
from pathlib import Path

import pytest

from edge.config import UnitConfig
from edge.reckoning import Driven, percentile
from edge.status import (
    STALE_AFTER_S,
    HotlistHealth,
    NotRunningError,
    Status,
    read_status,
    run_dir,
    write_status,
)
from edge.view import AlertLines, alerts_table, summary, view
from hotlist_cache.entry import Priority
from hotlist_cache.hit import Alert
from recognizer.plate import Plate
from tests.clocks import BOOT_ID
from tests.fakes import a_hit, a_read
from tests.hotlists import NOW

STATUS = Status(
    unit="unit-07",
    pid=1,
    monotonic_ns=10**12,
    boot_id=BOOT_ID,
    uptime_s=5.0,
    frames_per_s=14.9,
    frames=100,
    reads=3,
    hits=1,
    alerts=1,
    settle_to_alert_p95_ms=12.0,
    cameras=(),
    time_quality="gps",
    has_fix=True,
)


def test_status_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_status(tmp_path, STATUS)
    assert read_status(tmp_path, STATUS.monotonic_ns + 10**9, BOOT_ID) == STATUS


@pytest.mark.parametrize(
    ("later_s", "boot"),
    [(STALE_AFTER_S + 1, BOOT_ID), (-2, BOOT_ID), (1, "another boot")],
)
def test_status_of_a_dead_daemon_is_not_taken_for_a_live_one(
    tmp_path: Path, later_s: float, boot: str
) -> None:
    write_status(tmp_path, STATUS)
    with pytest.raises(NotRunningError, match="stuck or gone"):
        read_status(tmp_path, STATUS.monotonic_ns + int(later_s * 1e9), boot)


def test_without_a_daemon_the_remedy_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotRunningError, match="start it") as caught:
        read_status(tmp_path, 0, BOOT_ID)
    assert caught.value.exit_code == 69


@pytest.mark.parametrize("content", ["", "[]", "{}", "{", '{"unit": 3}'])
def test_foreign_status_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "status.json").write_text(content, encoding="utf-8")
    with pytest.raises(NotRunningError, match="another version"):
        read_status(tmp_path, 0, BOOT_ID)


def test_run_folder_is_of_the_user_alone(tmp_path: Path) -> None:
    folder = run_dir(UnitConfig("unit-07", tmp_path, tmp_path, tmp_path / "run"))
    assert folder.stat().st_mode & 0o077 == 0


def test_view_and_summary_show_a_stopped_recording(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    fault = "NOT RECORDING: the disk is full"
    console = Console(width=120)
    console.print(view(replace(STATUS, faults=(fault,))))
    console.print(summary(STATUS, ()))
    shown = capsys.readouterr().out
    assert fault in shown
    assert "14.9" in shown


def test_alert_that_no_longer_holds_is_shown_as_corrected(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    read = replace(a_read(), prefix=Plate("XQ"))
    alert = Alert("alert-1", a_hit(read), Priority.HIGH, read.settled.utc, advisory_only=False)
    Console(width=80).print(alerts_table([alert]))
    shown = capsys.readouterr().out
    assert "XQ TEST123" in shown and "high" in shown and "corrected" not in shown
    Console(width=80).print(alerts_table([replace(alert, corrected=True)]))
    shown = capsys.readouterr().out
    assert "corrected" in shown and "high" not in shown
    Console(width=120).print(view(replace(STATUS, corrected=1)))
    assert "1, 1 corrected" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "q", "wanted"), [([], 95, 0.0), ([7.0], 50, 7.0), (list(range(1, 101)), 95, 95)]
)
def test_percentile_is_by_nearest_rank(values: list[float], q: float, wanted: float) -> None:
    assert percentile(values, q) == wanted


def test_rate_without_a_frame_is_nothing() -> None:
    assert Driven().frames_per_s(10**10, over=False) == 0.0
    assert Driven().frames_per_s(10**10, over=True) == 0.0


def test_view_shows_a_list_on_its_way_the_urgent_one_and_why_the_newest_alert_is_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from rich.console import Console

    hotlist = HotlistHealth(
        sequence=3, entries=5_000_000, urgent_entries=2, received_bytes=3_000_000, wanted_bytes=7_500_000
    )
    alert = Alert("a-1", a_hit(a_read("r-1", plate="7ABC123")), Priority.HIGH, NOW, advisory_only=False)
    Console(width=120).print(view(replace(STATUS, hotlist=hotlist), [alert]))
    shown = capsys.readouterr().out
    assert "5,000,000 +2 urgent" in shown
    assert "3.0 of 7.5 MB, 40 %" in shown
    assert "read 7ABC123; plate" in shown


def test_where_there_is_no_screen_each_alert_is_a_line_and_its_correction_another() -> None:
    lines: list[str] = []
    told = AlertLines(lines.append)
    first = Alert("a-1", a_hit(a_read("r-1", plate="7ABC123")), Priority.HIGH, NOW, advisory_only=False)
    second = replace(first, alert_id="a-2")
    told.tell([first])
    told.tell([second, first])
    told.tell([second, replace(first, corrected=True)])
    told.tell([second, replace(first, corrected=True)])
    assert len(lines) == 3
    assert "UNVERIFIED" in lines[0] and "7ABC123" in lines[0]
    assert "no longer holds" in lines[2]
