"""Tones, queue and fallbacks of the speaker, with real aplay and espeak-ng where they are installed."""

import array
import math
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from camera.frame import Moment, TimeQuality
from edge.alerts import AlertConfig, Sounder, Sounding, wav_folder
from edge.tones import RATE_HZ, length_s, pcm_of, tone, wav_of
from hotlist_cache.entry import Entry, Priority
from hotlist_cache.hit import Alert, Correction, HotlistHit, ListAge, MatchKind, StateMatch
from recognizer.plate import Jurisdiction, Plate
from recognizer.read import Box, JurisdictionOpinion, PlateRead

NOW = datetime(2026, 3, 1, 20, 0, tzinfo=UTC)
PLATE = "7ABX123"

needs_speech = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="espeak-ng is not installed: apt-get install espeak-ng"
)
needs_alsa = pytest.mark.skipif(
    shutil.which("aplay") is None or not Path("/usr/share/alsa/alsa.conf").exists(),
    reason="aplay is not installed: apt-get install alsa-utils",
)


def make_alert(alert_id: str, priority: Priority = Priority.HIGH) -> Alert:
    moment = Moment(NOW, 1, "boot", TimeQuality.SYNCHRONISED)
    state = Jurisdiction("US-CA")
    read = PlateRead(
        "read-1",
        "front",
        Plate(PLATE),
        tuple(((c, 0.9),) for c in PLATE),
        0.9,
        JurisdictionOpinion(state, 0.9),
        moment,
        moment,
        Box(0, 0, 9, 9),
        3,
        b"",
    )
    entry = Entry("entry-1", PLATE, state, "Stolen vehicle", "invented", priority)
    age = ListAge(4, NOW - timedelta(hours=3))
    hit = HotlistHit("hit-1", read, entry, MatchKind.EXACT, StateMatch.SAME, (), age)
    return Alert(alert_id, hit, priority, NOW, advisory_only=False)


@pytest.fixture
def sounder(tmp_path: Path) -> Iterator[Callable[..., Sounder]]:
    made: list[Sounder] = []

    def make(**settings: object) -> Sounder:
        folder = tmp_path / "wav"
        folder.mkdir(exist_ok=True)
        made.append(Sounder(AlertConfig(**settings), folder))  # type: ignore[arg-type]  # any setting, by name
        return made[-1]

    yield make
    for one in made:
        one.close()


def stub(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a command *name* before all others on PATH."""
    command = folder / name
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def empty_path(folder: Path, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let PATH hold the commands *names* alone."""
    only = folder / "only"
    only.mkdir()
    for name in names:
        if (found := shutil.which(name)) is not None:
            (only / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(only))


# -- tones --


def test_each_priority_has_its_own_tone_and_always_the_same() -> None:
    tones = {tone(priority) for priority in Priority} | {tone(p, possible=True) for p in Priority}
    assert len(tones) == 6
    before = tone(Priority.HIGH)
    tone.cache_clear()
    assert tone(Priority.HIGH) == before


def test_the_more_urgent_tone_is_longer_and_louder() -> None:
    def power(priority: Priority) -> float:
        return max(abs(sample) for sample in array.array("h", tone(priority)))

    for lower, higher in pairwise(sorted(Priority)):
        assert length_s(tone(lower)) < length_s(tone(higher)) < 1.0
        assert power(lower) < power(higher) < 0.9 * 32767


@pytest.mark.parametrize("priority", Priority)
def test_a_tone_begins_and_ends_softly(priority: Priority) -> None:
    samples = array.array("h", tone(priority))
    loudest = max(abs(s) for s in samples)
    first_ms = samples[: RATE_HZ // 1000]
    assert max(abs(s) for s in first_ms) < 0.05 * loudest
    assert abs(samples[-1]) < 0.01 * loudest


@pytest.mark.parametrize("priority", Priority)
def test_a_tone_is_not_shrill(priority: Priority) -> None:
    samples = array.array("h", tone(priority))
    # Energy of the difference against that of the signal gives the mean frequency of the energy.
    steps = sum((b - a) ** 2 for a, b in pairwise(samples))
    mean_hz = RATE_HZ / (2 * math.pi) * math.sqrt(steps / sum(s * s for s in samples))
    assert mean_hz < 1200


def test_a_wav_file_gives_back_its_samples() -> None:
    assert pcm_of(wav_of(tone(Priority.LOW), 16_000)) == (tone(Priority.LOW), 16_000)


@pytest.mark.parametrize("data", [b"", b"RIFF", b"not sound at all", b"RIFF\x00\x00\x00\x00WAVE"])
def test_bytes_that_are_no_wav_file_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="WAV"):
        pcm_of(data)


# -- without a sound device --


@needs_speech
def test_without_a_device_each_alert_is_one_file_with_tone_and_speech(
    sounder: Callable[..., Sounder],
) -> None:
    one = sounder(sound_device="")
    before_ns = time.monotonic_ns()
    one.alert(make_alert("a1"), NOW)
    one.alert(make_alert("a2", Priority.LOW), NOW)
    sounded = one.drain(10)
    assert [s.alert_id for s in sounded] == ["a1", "a2"]
    for sounding, priority in zip(sounded, (Priority.HIGH, Priority.LOW), strict=True):
        assert sounding.wav is not None
        assert sounding.spoken
        assert before_ns <= sounding.tone_started_ns <= time.monotonic_ns()
        pcm, rate_hz = pcm_of(sounding.wav.read_bytes())
        assert rate_hz == RATE_HZ
        assert pcm.startswith(tone(priority))
        assert length_s(pcm) > 5  # the card takes some ten seconds
    assert one.idle


@needs_speech
def test_file_names_carry_the_alert_id_and_nothing_else(sounder: Callable[..., Sounder]) -> None:
    one = sounder(sound_device="")
    one.alert(make_alert("a1"), NOW)
    (sounding,) = one.drain(10)
    assert sounding.wav is not None
    assert [p.name for p in sounding.wav.parent.iterdir()] == ["alert-a1.wav"]


def test_the_tone_is_on_file_before_the_speech_is_made(sounder: Callable[..., Sounder]) -> None:
    one = sounder(sound_device="", speech=True)
    one.alert(make_alert("a1"), NOW)
    (path,) = (p for folder in [one._wav_dir] for p in folder.iterdir())
    assert pcm_of(path.read_bytes())[0].startswith(tone(Priority.HIGH))


def test_only_the_newest_files_are_kept(sounder: Callable[..., Sounder]) -> None:
    one = sounder(sound_device="", speech=False, wav_keep=3)
    for n in range(8):
        one.alert(make_alert(f"a{n}"), NOW)
    paths = [s.wav for s in one.drain(5)]
    assert [p.name for p in paths if p is not None and p.exists()] == [
        "alert-a5.wav",
        "alert-a6.wav",
        "alert-a7.wav",
    ]


def test_an_alert_without_device_and_folder_is_counted_as_lost(
    sounder: Callable[..., Sounder], tmp_path: Path
) -> None:
    one = sounder(sound_device="", speech=False)
    (tmp_path / "wav").rmdir()
    one.alert(make_alert("a1"), NOW)
    assert one.drain(2) == ()
    status = one.status()
    assert (status.lost, status.sounded) == (1, 0)
    assert "alert a1 has no sound" in status.last_error


# -- the queue --


def played(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


@pytest.fixture
def slow_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for aplay that takes a quarter of a second for any sound and writes down its size."""
    log = tmp_path / "played"
    stub(tmp_path, "aplay", f"wc -c >> {log}\nexec sleep 0.25", monkeypatch)
    return log


def sizes(*priorities: Priority) -> list[str]:
    return [str(len(wav_of(tone(p)))) for p in priorities]


def test_a_high_alert_interrupts_a_lower_one_which_is_told_again(
    sounder: Callable[..., Sounder], slow_device: Path
) -> None:
    one = sounder(speech=False)
    one.alert(make_alert("low", Priority.LOW), NOW)
    while not played(slow_device):
        one.pump()
    one.alert(make_alert("high", Priority.HIGH), NOW)
    sounded = one.drain(5)
    assert [s.alert_id for s in sounded] == ["high", "low"]
    assert played(slow_device) == sizes(Priority.LOW, Priority.HIGH, Priority.LOW)


def test_a_high_alert_does_not_interrupt_another_high_one(
    sounder: Callable[..., Sounder], slow_device: Path
) -> None:
    one = sounder(speech=False)
    one.alert(make_alert("h1"), NOW)
    one.alert(make_alert("h2"), NOW)
    assert [s.alert_id for s in one.drain(5)] == ["h1", "h2"]
    assert played(slow_device) == sizes(Priority.HIGH, Priority.HIGH)


def test_what_waits_is_sounded_by_priority_then_by_time(
    sounder: Callable[..., Sounder], slow_device: Path
) -> None:
    one = sounder(speech=False)
    for alert_id, priority in [
        ("h1", Priority.HIGH),
        ("l1", Priority.LOW),
        ("m1", Priority.MEDIUM),
        ("l2", Priority.LOW),
        ("m2", Priority.MEDIUM),
        ("h2", Priority.HIGH),
    ]:
        one.alert(make_alert(alert_id, priority), NOW)
    assert one.status().waiting == 6
    assert [s.alert_id for s in one.drain(10)] == ["h1", "h2", "m1", "m2", "l1", "l2"]


def test_mute_silences_all_but_high(sounder: Callable[..., Sounder]) -> None:
    one = sounder(sound_device="", speech=False, muted=True)
    for priority in Priority:
        one.alert(make_alert(priority.name, priority), NOW)
    assert [s.alert_id for s in one.drain(5)] == ["HIGH"]
    assert one.status().silenced == 2


def test_a_notice_of_the_unit_is_sounded_like_an_alert(sounder: Callable[..., Sounder]) -> None:
    one = sounder(sound_device="", speech=False)
    one.notice("transfer-overdue", "Transfer overdue", Priority.MEDIUM)
    assert [(s.alert_id, s.priority) for s in one.drain(5)] == [("transfer-overdue", Priority.MEDIUM)]


def test_alert_and_pump_return_at_once_while_the_device_plays(
    sounder: Callable[..., Sounder], slow_device: Path
) -> None:
    one = sounder(speech=False)
    slowest = 0.0
    for n in range(5):
        begun = time.perf_counter()
        one.alert(make_alert(f"a{n}"), NOW)
        one.pump()
        slowest = max(slowest, time.perf_counter() - begun)
    assert slowest < 0.2, "a blocking call would take the 0.25 s of the sound"


def test_close_stops_the_sound_and_leaves_no_process(
    sounder: Callable[..., Sounder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub(tmp_path, "aplay", f"echo $$ > {tmp_path}/pid\nexec sleep 60", monkeypatch)
    one = sounder(speech=False)
    one.alert(make_alert("a1"), NOW)
    pid_file = tmp_path / "pid"
    while not pid_file.exists() or not pid_file.read_text().strip():
        one.pump()
    one.close()
    assert not Path(f"/proc/{pid_file.read_text().strip()}").exists()
    assert one.idle


# -- what goes wrong --


def test_a_dead_device_falls_back_to_a_file_and_is_counted(
    sounder: Callable[..., Sounder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub(tmp_path, "aplay", 'echo "aplay: main: audio open error: No such device" >&2; exit 1', monkeypatch)
    one = sounder(speech=False)
    one.alert(make_alert("a1"), NOW)
    (sounding,) = one.drain(5)
    assert sounding.wav is not None
    assert sounding.wav.exists()
    status = one.status()
    assert (status.device_failures, status.output, status.sounded) == (1, "files", 1)
    assert "No such device" in status.last_error


@needs_speech
def test_a_device_that_dies_between_tone_and_speech_leaves_the_whole_alert_on_file(
    sounder: Callable[..., Sounder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tmp_path / "count"
    stub(tmp_path, "aplay", f"echo x >> {count}; test $(wc -l < {count}) -le 1", monkeypatch)
    one = sounder()
    one.alert(make_alert("a1"), NOW)
    (sounding,) = one.drain(10)
    assert sounding.spoken
    assert sounding.wav is not None
    pcm, _ = pcm_of(sounding.wav.read_bytes())
    assert pcm.startswith(tone(Priority.HIGH))
    assert length_s(pcm) > 5


def test_a_device_that_comes_back_is_used_again(
    sounder: Callable[..., Sounder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.touch()
    stub(tmp_path, "aplay", f"test ! -e {gone}", monkeypatch)
    one = sounder(speech=False)
    one.alert(make_alert("a1"), NOW)
    one.drain(5)
    gone.unlink()
    one.alert(make_alert("a2"), NOW)
    (sounding,) = one.drain(5)
    assert sounding.wav is None
    assert one.status().output == "device"


def test_a_hung_device_is_given_up_and_the_alert_goes_to_a_file(
    sounder: Callable[..., Sounder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub(tmp_path, "aplay", "trap '' TERM\nsleep 30 & wait", monkeypatch)
    monkeypatch.setattr("edge.alerts._DEVICE_SLACK_S", 0.0)
    one = sounder(speech=False)
    one.alert(make_alert("a1"), NOW)
    (sounding,) = one.drain(5)
    assert sounding.wav is not None
    assert "hangs" in one.status().last_error


def test_missing_aplay_is_one_warning_and_files(
    sounder: Callable[..., Sounder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty_path(tmp_path, (), monkeypatch)
    one = sounder(speech=False)
    assert "apt-get install alsa-utils" in one.status().last_error
    one.alert(make_alert("a1"), NOW)
    (sounding,) = one.drain(5)
    assert sounding.wav is not None
    assert one.status().device_failures == 0


def test_missing_espeak_is_one_warning_and_tones(
    sounder: Callable[..., Sounder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty_path(tmp_path, (), monkeypatch)
    one = sounder(sound_device="")
    assert "apt-get install espeak-ng" in one.status().last_error
    one.alert(make_alert("a1"), NOW)
    (sounding,) = one.drain(5)
    assert not sounding.spoken
    assert one.status().speech_failures == 0


@needs_speech
def test_an_unknown_voice_is_counted_and_the_tone_stays(sounder: Callable[..., Sounder]) -> None:
    one = sounder(sound_device="", voice="zz")
    one.alert(make_alert("a1"), NOW)
    (sounding,) = one.drain(10)
    assert (sounding.spoken, sounding.wav is not None) == (False, True)
    assert one.status().speech_failures == 1


def test_a_synthesiser_that_writes_nonsense_leaves_the_tone(
    sounder: Callable[..., Sounder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub(tmp_path, "espeak-ng", "echo this is not sound", monkeypatch)
    one = sounder(sound_device="")
    one.alert(make_alert("a1"), NOW)
    (sounding,) = one.drain(10)
    assert not sounding.spoken
    assert "WAV" in one.status().last_error


# -- with a real aplay --


@pytest.fixture
def captured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ALSA device named "captured" that appends all it plays to the file given back."""
    heard = tmp_path / "heard.raw"
    conf = tmp_path / "asound.conf"
    conf.write_text(
        "</usr/share/alsa/alsa.conf>\n"
        f'pcm.captured {{ type file slave.pcm null file "|cat >> {heard}" format raw }}\n'
    )
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(conf))
    return heard


@needs_alsa
@needs_speech
def test_the_device_hears_the_tone_and_then_the_card(
    sounder: Callable[..., Sounder], captured: Path, tmp_path: Path
) -> None:
    one = sounder(sound_device="captured")
    one.alert(make_alert("a1"), NOW)
    (sounding,) = one.drain(20)
    assert (sounding.spoken, sounding.wav) == (True, None)
    assert one.status().device_failures == 0
    heard = captured.read_bytes()
    assert heard.startswith(tone(Priority.HIGH))
    file = Sounder(AlertConfig(sound_device=""), tmp_path)
    file.alert(make_alert("a2"), NOW)
    (written,) = file.drain(20)
    assert written.wav is not None
    speech = pcm_of(written.wav.read_bytes())[0][len(tone(Priority.HIGH)) + 2 * RATE_HZ // 5 :]
    assert len(speech) > 5 * RATE_HZ
    assert speech in heard


@needs_alsa
def test_a_device_that_does_not_exist_falls_back_to_a_file(sounder: Callable[..., Sounder]) -> None:
    one = sounder(sound_device="no-such-device", speech=False)
    one.alert(make_alert("a1"), NOW)
    (sounding,) = one.drain(5)
    assert sounding.wav is not None
    assert "audio open error" in one.status().last_error


@needs_alsa
@needs_speech
def test_no_plate_stands_on_a_command_line_or_in_a_status(
    sounder: Callable[..., Sounder], captured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "arguments"
    for name in ("aplay", "espeak-ng", "nice"):
        real = shutil.which(name)
        stub(tmp_path, name, f'echo "$0 $*" >> {seen}\nexec {real} "$@"', monkeypatch)
    one = sounder(sound_device="captured")
    one.alert(make_alert("a1"), NOW)
    sounded: tuple[Sounding, ...] = one.drain(20)
    shown = seen.read_text() + repr(one.status()) + repr(sounded) + repr(one.__dict__)
    assert "espeak-ng" in shown
    assert not re.search(rf"{PLATE}|Adam|Boy", shown)


# -- settings --


@pytest.mark.parametrize("wrong", [{"words_per_minute": 20}, {"wav_keep": 0}, {"voice": "-f/etc/passwd"}])
def test_a_setting_out_of_range_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AlertConfig(**wrong)  # type: ignore[arg-type]  # any setting, by name


def test_the_folder_of_wav_files_is_private_and_lies_under_the_run_time_folder(tmp_path: Path) -> None:
    folder = wav_folder(AlertConfig(), tmp_path)
    assert folder.parent == tmp_path
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert wav_folder(AlertConfig(wav_dir=str(tmp_path / "else")), tmp_path) == tmp_path / "else"


def test_a_hit_that_is_gone_is_told_as_loudly_as_its_alert(sounder: Callable[..., Sounder]) -> None:
    speaker = sounder(sound_device="", speech=False, muted=True)
    for priority in (Priority.HIGH, Priority.LOW):
        alert = make_alert(f"alert-{priority.name}", priority)
        speaker.correct(Correction(alert, alert.hit.read, hit_gone=True))
    [said] = speaker.drain(5.0)
    assert (said.alert_id, said.priority) == ("alert-HIGH-corrected", Priority.HIGH)
    assert said.wav is not None and PLATE not in said.wav.name
    assert speaker.status().silenced == 1
