"""What a log line may hold, and what it never does."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog

from camera.fix import Fix
from camera.frame import Moment, TimeQuality
from edge.errors import ConfigInvalidError
from edge.logs import WITHHELD, configure_logs, describe, forbidden
from hotlist_cache.entry import Entry, Priority
from hotlist_cache.hit import Alert, HotlistHit, ListAge, MatchKind, StateMatch
from recognizer.plate import Jurisdiction, Plate
from recognizer.read import Box, JurisdictionOpinion, PlateCandidate, PlateRead

NOW = datetime(2026, 3, 1, 20, 0, tzinfo=UTC)
PLATE = "7ABX123"
LATITUDE, LONGITUDE = 12.345678, -98.765432


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    configure_logs(stream=out, now=lambda: NOW, level="debug")
    yield out
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def values() -> dict[str, object]:
    """One of every value that knows a plate or a place."""
    moment = Moment(NOW, 1, "boot", TimeQuality.SYNCHRONISED)
    fix = Fix(NOW, LATITUDE, LONGITUDE)
    state = JurisdictionOpinion(Jurisdiction("US-CA"), 0.9)
    positions = tuple(((c, 0.9),) for c in PLATE)
    box = Box(0, 0, 9, 9)
    candidate = PlateCandidate(Plate(PLATE), positions, box, 0.9, state, 10.0, PLATE.encode())
    read = PlateRead(
        "read-1", "front", Plate(PLATE), positions, 0.9, state, moment, moment, box, 3, PLATE.encode(), fix
    )
    entry = Entry(
        "entry-1", PLATE, Jurisdiction("US-CA"), "Stolen vehicle", "invented", Priority.HIGH, PLATE, PLATE
    )
    hit = HotlistHit("hit-1", read, entry, MatchKind.LOOK_ALIKE, StateMatch.SAME, (2,), ListAge(4, NOW))
    alert = Alert("alert-1", hit, Priority.HIGH, NOW, advisory_only=False)
    return {"first": fix, "second": candidate, "third": read, "fourth": entry, "fifth": hit, "sixth": alert}


def assert_clean(shown: str) -> None:
    assert PLATE not in shown
    assert "12.345" not in shown
    assert "98.765" not in shown


def test_a_line_is_one_json_object_with_time_and_level(stream: io.StringIO) -> None:
    structlog.get_logger().info("read stored", read_id="read-1", waiting=3)
    assert json.loads(stream.getvalue()) == {
        "event": "read stored",
        "level": "info",
        "at": "2026-03-01T20:00:00.000+00:00",
        "read_id": "read-1",
        "waiting": 3,
    }


def test_values_that_know_a_plate_or_place_do_not_show_it(stream: io.StringIO) -> None:
    shown = values()
    structlog.get_logger().warning("all", **shown, nested=[shown, tuple(shown.values())])
    assert "read-1" in stream.getvalue()
    assert_clean(stream.getvalue())


@pytest.mark.parametrize(
    "name",
    [
        "plate",
        "listed_plate",
        "plateText",
        "pattern",
        "latitude_deg",
        "lon",
        "gps-fix",
        "position",
        "case_number",
        "storage_key",
        "tlsKey",
        "password",
        "session_token",
        "evidence",
    ],
)
def test_a_field_with_a_forbidden_name_is_withheld(stream: io.StringIO, name: str) -> None:
    structlog.get_logger().info("x", **{name: PLATE, "nested": {name: [PLATE]}})
    line = json.loads(stream.getvalue())
    assert line[name] == WITHHELD
    assert line["nested"] == {name: WITHHELD}


@pytest.mark.parametrize(
    "name", ["read_id", "alert_id", "camera", "frames", "queue", "batch_id", "level", "displaced", "monkey"]
)
def test_an_innocent_name_is_shown(name: str) -> None:
    assert not forbidden(name)


def test_bytes_are_shown_by_their_number(stream: io.StringIO) -> None:
    structlog.get_logger().info("x", body=PLATE.encode())
    assert json.loads(stream.getvalue())["body"] == "[7 bytes]"


def test_a_foreign_exception_is_shown_without_its_message(stream: io.StringIO) -> None:
    try:
        dict[str, str]()[PLATE]
    except KeyError:
        structlog.get_logger().exception("crash")
    line = json.loads(stream.getvalue())
    assert line["exception"].startswith(f"builtins.KeyError: {WITHHELD} at test_edge_logs.py:")
    assert_clean(stream.getvalue())


def test_our_own_exception_is_shown_with_its_message_and_cause() -> None:
    try:
        try:
            int(PLATE)
        except ValueError as error:
            raise ConfigInvalidError("cameras.0.width_px: not a number") from error
    except ConfigInvalidError as error:
        shown = describe(error)
    assert "edge.errors.ConfigInvalidError: cameras.0.width_px: not a number" in shown
    assert f"builtins.ValueError: {WITHHELD}" in shown
    assert_clean(shown)


def test_an_os_error_says_what_the_system_said(stream: io.StringIO) -> None:
    structlog.get_logger().error("x", error=FileNotFoundError(2, "No such file or directory", "/etc/x.toml"))
    assert "No such file or directory: /etc/x.toml" in json.loads(stream.getvalue())["error"]


def test_a_library_is_heard_from_warning_up_and_without_its_exception_text(stream: io.StringIO) -> None:
    logger = logging.getLogger("some.library")
    logger.info("chatter")
    try:
        int(PLATE)
    except ValueError:
        logger.exception("it broke")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["event"] == "it broke"
    assert_clean(line)


def test_a_person_at_a_terminal_is_shown_no_plate_either() -> None:
    out = io.StringIO()
    configure_logs(stream=out, human=True)
    try:
        structlog.get_logger().warning("all", plate=PLATE, **values())
        try:
            int(PLATE)
        except ValueError:
            structlog.get_logger().exception("crash")
    finally:
        structlog.reset_defaults()
        logging.basicConfig(force=True)
    assert "crash" in out.getvalue()
    assert_clean(out.getvalue())


def test_a_level_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="give debug, info, warning or error"):
        configure_logs(level="loud")


def test_what_is_below_the_level_is_not_shown(stream: io.StringIO) -> None:
    configure_logs(stream=stream, level="warning")
    structlog.get_logger().info("quiet")
    assert stream.getvalue() == ""
