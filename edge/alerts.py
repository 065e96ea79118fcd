"""The speaker: an alert becomes a tone at once, then a spoken card.

The owner calls `Sounder.alert()` when there is one and `pump()` some twenty times a second; both return
within milliseconds, because `aplay` and `espeak-ng` are child processes.

Where no sound device answers, each alert becomes one WAV file in a run-time folder instead. Such a file says
the plate aloud, so it must never lie in the unit's state directory; its name carries the alert's id alone.
"""

import heapq
import shutil
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import structlog

from edge.phonetic import Alphabet, card, correction_card, past_card
from edge.sound_process import SoundFailedError, SoundProcess
from edge.tones import RATE_HZ, length_s, pcm_of, tone, wav_of
from hotlist_cache.entry import Priority
from hotlist_cache.hit import Alert, Correction, Outcome, Sighting

_log = structlog.get_logger(__name__)

_NICE = "5"
"""Speech yields to the recogniser; the tone does not."""
_RENDER_TIMEOUT_S = 5.0
_DEVICE_SLACK_S = 2.0
"""How much longer than its own length a sound may take before the device counts as hung."""
_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class AlertConfig:
    """The `[alerts]` table."""

    sound_device: str = "default"
    """An ALSA device as `aplay -D` takes it; "" writes WAV files instead."""
    speech: bool = True
    """False: the tone alone."""
    voice: str = "en-us"
    """One of `espeak-ng --voices`."""
    words_per_minute: int = 155
    """80 to 300; a plate must be understood at the first hearing."""
    alphabet: Alphabet = Alphabet.APCO
    muted: bool = False
    """Silences all alerts but those of high priority."""
    wav_dir: str = ""
    """Where WAV files go when there is no sound device; "" is the unit's run-time folder (`wav_folder`)."""
    wav_keep: int = 50
    """The newest so many WAV files are kept: the folder is memory."""

    def __post_init__(self) -> None:
        if not 80 <= self.words_per_minute <= 300:
            raise ValueError("words_per_minute must be 80 to 300")
        if self.wav_keep < 1:
            raise ValueError("wav_keep must be at least 1")
        if not self.voice or self.voice.startswith("-"):
            raise ValueError("voice must be a name that `espeak-ng --voices` shows")


@dataclass(frozen=True, slots=True)
class Sounding:
    """An alert that has been sounded to its end."""

    alert_id: str
    priority: Priority
    tone_started_ns: int
    """CLOCK_MONOTONIC when its tone was first handed to the device, or its WAV file begun."""
    spoken: bool
    wav: Path | None
    """The file, where no device answered."""


@dataclass(frozen=True, slots=True)
class SoundStatus:
    """The health of the speaker, for the officer and the technician."""

    output: str
    """"device" or "files": where the newest alert went."""
    speech: bool
    muted: bool
    waiting: int
    sounded: int
    silenced: int
    """Not sounded because muted."""
    device_failures: int
    speech_failures: int
    lost: int
    """Neither the device nor the folder took them: seen on the screen only."""
    last_error: str


@dataclass(slots=True)
class _Act:
    """One alert on its way from the queue to the officer's ear."""

    alert_id: str
    priority: Priority
    order: int
    text: str = field(repr=False)
    possible: bool = False
    tone_started_ns: int | None = None
    player: SoundProcess | None = None
    renderer: SoundProcess | None = None
    speech: bytes | None = field(default=None, repr=False)
    """The rendered speech as WAV, until it is played or written."""
    spoken: bool = False
    to_file: bool = False
    wav: Path | None = None

    def tone(self, rate_hz: int = RATE_HZ) -> bytes:
        """What is heard first, 16-bit mono PCM."""
        return tone(self.priority, rate_hz, possible=self.possible)


class Sounder:
    """Sounds alerts one at a time, the most urgent first; one of high priority interrupts a lower one.

    Not thread-safe: made, used and closed by one thread.
    """

    def __init__(self, config: AlertConfig, wav_dir: Path) -> None:
        """*wav_dir* exists, is private to this user and preferably in memory; see `wav_folder`."""
        self._config = config
        self._wav_dir = wav_dir
        self._queue: list[tuple[int, int, _Act]] = []
        self._order = 0
        self._current: _Act | None = None
        self._finished: list[Sounding] = []
        self._stopped: list[SoundProcess] = []
        self._files: deque[Path] = deque()
        self._sounded = self._silenced = self._lost = 0
        self._device_failures = self._speech_failures = 0
        self._last_error = ""
        self._speech = config.speech
        self._device = bool(config.sound_device)
        if self._device and shutil.which("aplay") is None:
            self._device = False
            self._trouble("aplay is not installed: alerts go to WAV files; run apt-get install alsa-utils")
        if self._speech and shutil.which("espeak-ng") is None:
            self._speech = False
            self._trouble("espeak-ng is not installed: alerts are tones alone; run apt-get install espeak-ng")
        self._output = "device" if self._device else "files"
        for priority in Priority:
            for possible in (False, True):
                tone(priority, possible=possible)  # made now, so that the first alert need not wait for it

    def alert(self, alert: Alert, now: datetime) -> None:
        """Sound *alert* at *now* (aware UTC), or queue it behind what is as urgent and came first."""
        possible = alert.hit.outcome is Outcome.POSSIBLE
        self._submit(alert.alert_id, alert.priority, card(alert, now, self._config.alphabet), possible)

    def past(self, sighting: Sighting, now: datetime) -> None:
        """Say at *now* (aware UTC) that a plate was read before it was listed."""
        text = past_card(sighting, now, self._config.alphabet)
        self._submit(f"{sighting.read_id}-past", Priority.MEDIUM, text, possible=True)

    def correct(self, correction: Correction) -> None:
        """Say, as loudly as its alert was said, that its hit is gone."""
        told = correction.alert
        text = correction_card(correction, self._config.alphabet)
        self._submit(f"{told.alert_id}-corrected", told.priority, text)

    def notice(self, notice_id: str, text: str, priority: Priority) -> None:
        """Sound a word on the unit's own state ("transfer overdue"); *text* must hold no plate or place."""
        self._submit(notice_id, priority, text)

    def pump(self) -> tuple[Sounding, ...]:
        """Carry on what sounds, start what waits; return what came to its end since the last call."""
        self._stopped = [process for process in self._stopped if not process.gone]
        if self._current is not None:
            self._carry_on(self._current)
        self._start_next()
        finished, self._finished = tuple(self._finished), []
        return finished

    @property
    def idle(self) -> bool:
        """Whether nothing sounds and nothing waits."""
        return self._current is None and not self._queue

    def drain(self, timeout_s: float) -> tuple[Sounding, ...]:
        """Wait until all is sounded or *timeout_s* is over, as at the end of a replay; return what ended."""
        deadline_ns = time.monotonic_ns() + int(timeout_s * 1e9)
        finished = [*self.pump()]
        while (act := self._current) is not None and time.monotonic_ns() < deadline_ns:
            process = act.player or act.renderer
            if process is not None:
                process.wait(0.05)
            finished += self.pump()
        return tuple(finished)

    def status(self) -> SoundStatus:
        """How the speaker does."""
        return SoundStatus(
            output=self._output,
            speech=self._speech,
            muted=self._config.muted,
            waiting=len(self._queue) + (self._current is not None),
            sounded=self._sounded,
            silenced=self._silenced,
            device_failures=self._device_failures,
            speech_failures=self._speech_failures,
            lost=self._lost,
            last_error=self._last_error,
        )

    def close(self) -> None:
        """Stop at once; what waits is not sounded. WAV files stay: their folder's owner removes them."""
        self._queue.clear()
        if self._current is not None:
            self._break_off(self._current)
        for process in self._stopped:
            process.wait(1.0)

    def _submit(self, alert_id: str, priority: Priority, text: str, possible: bool = False) -> None:
        if self._config.muted and priority < Priority.HIGH:
            self._silenced += 1
            return
        self._order += 1
        act = _Act(alert_id, priority, self._order, text, possible)
        heapq.heappush(self._queue, (-priority, act.order, act))
        current = self._current
        if current is not None and priority is Priority.HIGH and current.priority < Priority.HIGH:
            # The lower one is told again from its beginning: half a plate is worse than a late one.
            self._break_off(current)
            heapq.heappush(self._queue, (-current.priority, current.order, current))
        self._start_next()

    def _start_next(self) -> None:
        while self._current is None and self._queue:
            _, _, act = heapq.heappop(self._queue)
            self._current = act
            act.to_file = not self._device
            self._play(act, wav_of(act.tone()), length_s(act.tone()))
            # The tone goes first: starting and rendering speech costs time that the officer need not wait.
            if self._speech:
                self._render(act)
            self._finish_if_done(act)

    def _carry_on(self, act: _Act) -> None:
        if act.renderer is not None:
            self._check_renderer(act, act.renderer)
        if act.player is not None:
            self._check_player(act, act.player)
        if act.player is None and act.speech is not None:
            self._speak(act, act.speech)
        self._finish_if_done(act)

    def _finish_if_done(self, act: _Act) -> None:
        if act.player is not None or act.renderer is not None:
            return
        self._current = None
        if act.tone_started_ns is None:
            self._lost += 1
            return
        self._sounded += 1
        self._finished.append(Sounding(act.alert_id, act.priority, act.tone_started_ns, act.spoken, act.wav))

    def _break_off(self, act: _Act) -> None:
        for process in (act.player, act.renderer):
            if process is not None:
                process.stop()
                self._stopped.append(process)
        act.player = act.renderer = act.speech = None
        act.spoken = False
        self._current = None

    # -- sounding: by the device, or into a file --

    def _play(self, act: _Act, wav: bytes, sound_s: float) -> None:
        if act.to_file:
            self._write(act, wav)
            return
        command = ["aplay", "-q", "-D", self._config.sound_device]
        try:
            act.player = SoundProcess(command, wav, sound_s + _DEVICE_SLACK_S)
        except SoundFailedError as error:
            self._device_failed(act, error)
            return
        if act.tone_started_ns is None:
            act.tone_started_ns = time.monotonic_ns()

    def _check_player(self, act: _Act, player: SoundProcess) -> None:
        try:
            if player.outcome() is not None:
                act.player = None
                self._output = "device"
        except SoundFailedError as error:
            self._stopped.append(player)
            act.player = None
            self._device_failed(act, error)

    def _device_failed(self, act: _Act, error: SoundFailedError) -> None:
        """Send this alert to a file. The next one tries the device: a loudspeaker may be plugged back in."""
        self._device_failures += 1
        self._output = "files"
        self._trouble(f"sound device {self._config.sound_device!r}: {error}; the alert goes to a WAV file")
        act.to_file = True
        if act.spoken and act.speech is not None:
            self._speak(act, act.speech)
            return
        act.tone_started_ns = None  # nobody heard it
        self._write(act, wav_of(act.tone()))

    def _write(self, act: _Act, wav: bytes) -> None:
        path = self._wav_dir / f"alert-{act.alert_id}.wav"
        unfinished = path.with_suffix(".part")
        begun_ns = time.monotonic_ns()
        try:
            unfinished.write_bytes(wav)
            unfinished.replace(path)
        except OSError as error:
            self._trouble(f"alert {act.alert_id} has no sound: {error.strerror}: {self._wav_dir}")
            return
        act.wav = path
        if act.tone_started_ns is None:
            act.tone_started_ns = begun_ns
        if path not in self._files:
            self._files.append(path)
        while len(self._files) > self._config.wav_keep:
            with suppress(OSError):
                self._files.popleft().unlink()

    # -- speech --

    def _render(self, act: _Act) -> None:
        voice, speed = self._config.voice, str(self._config.words_per_minute)
        command = ["nice", "-n", _NICE, "espeak-ng", "-v", voice, "-s", speed, "--stdin", "--stdout"]
        try:
            act.renderer = SoundProcess(command, act.text.encode(), _RENDER_TIMEOUT_S)
        except SoundFailedError as error:
            self._speech_failed(act, str(error))

    def _check_renderer(self, act: _Act, renderer: SoundProcess) -> None:
        try:
            act.speech = renderer.outcome()
            if act.speech is not None:
                act.renderer = None
        except SoundFailedError as error:
            self._stopped.append(renderer)
            act.renderer = None
            self._speech_failed(act, str(error))

    def _speak(self, act: _Act, speech: bytes) -> None:
        """Follow the tone with *speech*, once: into the same file, or by the device."""
        if act.spoken and not act.to_file:
            act.speech = None  # the player has just ended with it
            return
        try:
            pcm, rate_hz = pcm_of(speech)
        except ValueError as error:
            act.speech = None
            self._speech_failed(act, str(error))
            return
        act.spoken = True
        if not act.to_file:
            self._play(act, speech, length_s(pcm, rate_hz))
            return
        act.speech = None
        pause = bytes(2 * round(_PAUSE_S * rate_hz))
        self._write(act, wav_of(act.tone(rate_hz) + pause + pcm, rate_hz))

    def _speech_failed(self, act: _Act, why: str) -> None:
        self._speech_failures += 1
        self._trouble(f"alert {act.alert_id} is a tone alone: {why}; check alerts.voice")

    def _trouble(self, line: str) -> None:
        self._last_error = line
        _log.warning("sound trouble", trouble=line)


def wav_folder(config: AlertConfig, run_dir: Path) -> Path:
    """Return the folder for WAV files, made private to this user if it is not there.

    *run_dir* is the unit's run-time folder, in memory and gone at power-off. Raises OSError if it cannot be
    made.
    """
    folder = Path(config.wav_dir) if config.wav_dir else run_dir / "alerts"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
