"""The tone of each priority, made from arithmetic, and WAV files in memory.

Told apart by number of notes and direction, not by loudness alone: one note is low, two rising notes are
medium, a hurried figure of six is high, and two falling notes are a possible hit, whose plate is to be
checked first. All fundamentals lie between 500 and 1000 Hz, inside the band that
ISO 7731 recommends for warnings, and every note fades in: a shrill or sudden sound makes a driver flinch.
"""

import array
import io
import math
import sys
import wave
from functools import cache

from hotlist_cache.entry import Priority

RATE_HZ = 22_050
"""That of espeak-ng's own voices, so that tone and speech join without resampling."""

_ATTACK_S = 0.015
_RELEASE_S = 0.05
_SILENCE_HZ = 0.0

_NOTES: dict[Priority, tuple[tuple[float, float], ...]] = {
    # (frequency in Hz, length in s); equal-tempered pitches C5, D5 G5, E5 A5
    Priority.LOW: ((523.25, 0.30),),
    Priority.MEDIUM: ((587.33, 0.17), (_SILENCE_HZ, 0.04), (783.99, 0.26)),
    Priority.HIGH: ((659.26, 0.12), (880.00, 0.14)) * 3,
}
_POSSIBLE = ((783.99, 0.17), (_SILENCE_HZ, 0.04), (587.33, 0.26))
_PEAK = {Priority.LOW: 0.40, Priority.MEDIUM: 0.50, Priority.HIGH: 0.65}
_HARMONICS = ((1, 0.74), (2, 0.19), (3, 0.07))
"""(multiple, share); the shares sum to 1. A bare sine is hard to locate, more overtones are harsh."""


@cache
def tone(priority: Priority, rate_hz: int = RATE_HZ, *, possible: bool = False) -> bytes:
    """Return the tone of *priority*, or that of a *possible* hit as loud as it, as 16-bit little-endian mono
    PCM, always the same bytes."""
    samples = array.array("h")
    for frequency_hz, length_s in _POSSIBLE if possible else _NOTES[priority]:
        samples.extend(_note(frequency_hz, length_s, _PEAK[priority], rate_hz))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


def wav_of(pcm: bytes, rate_hz: int = RATE_HZ) -> bytes:
    """Return 16-bit mono *pcm* as a whole WAV file."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm)
    return out.getvalue()


def pcm_of(wav: bytes) -> tuple[bytes, int]:
    """Return the samples of a WAV file and their rate in Hz.

    The length in the header is not trusted: a synthesiser that writes into a pipe cannot know it.
    Raises ValueError if *wav* is not 16-bit mono PCM.
    """
    try:
        with wave.open(io.BytesIO(wav), "rb") as file:
            if (file.getnchannels(), file.getsampwidth()) != (1, 2):
                raise ValueError("speech is not 16-bit mono: choose one of espeak-ng's own voices")
            pcm = file.readframes(len(wav) // 2)
            return pcm, file.getframerate()
    except (wave.Error, EOFError) as error:
        raise ValueError(f"speech is not a WAV file ({error})") from error


def length_s(pcm: bytes, rate_hz: int = RATE_HZ) -> float:
    """Return how long 16-bit mono *pcm* sounds."""
    return len(pcm) / 2 / rate_hz


def _note(frequency_hz: float, length_s: float, peak: float, rate_hz: int) -> list[int]:
    count = round(length_s * rate_hz)
    attack, release = _ATTACK_S * rate_hz, _RELEASE_S * rate_hz
    note = []
    for i in range(count):
        # Raised cosine at both ends: a straight ramp or a cut is heard as a click.
        rise = 0.5 - 0.5 * math.cos(math.pi * min(1.0, i / attack))
        fall = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (count - 1 - i) / release))
        phase = 2 * math.pi * frequency_hz * i / rate_hz
        wave_form = sum(share * math.sin(multiple * phase) for multiple, share in _HARMONICS)
        note.append(round(32767 * peak * rise * fall * wave_form))
    return note
