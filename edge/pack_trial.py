"""A model pack tried in a process of its own: `python -m edge.pack_trial FOLDER`.

What an unfit pack does to a process (it crashes, hangs, takes all memory) it does here, not to the daemon.
The last line of the output is `PASSED`, or why it did not.
"""

import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PASSED = "passed"
NICE = 10
"""A busy unit still gives it a tenth of a core; at 19 a good pack would run out of time."""
MOST_MEMORY_BYTES = 3 << 29
"""A quarter of it is what reading plates takes. Without a bound it would take the daemon's too."""
MOST_WRITTEN_BYTES = 1 << 16
HARD_LIMIT_S = 900
"""Should the daemon be gone that watches the time."""


def confine() -> None:
    """Make this process yield to others, and end before it harms them."""
    signal.alarm(HARD_LIMIT_S)
    for limit, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_DATA, MOST_MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, MOST_WRITTEN_BYTES),
    ):
        _, hard = resource.getrlimit(limit)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (least, least))
    # Where a sandbox forbids these, the limits above still hold: no reason to refuse a pack.
    with suppress(OSError):
        os.nice(NICE)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def faults(folder: Path) -> Iterator[str]:
    """Yield what is wrong with the pack in *folder*: its files, its loading, or what it reads."""
    import cv2

    from recognizer.config import RecognizerConfig
    from recognizer.errors import RecognizerError
    from recognizer.onnx import Recognizer

    cv2.setNumThreads(1)
    try:
        recognizer = Recognizer.open(RecognizerConfig(model_pack=str(folder), threads=1))
        tests = recognizer.pack.self_tests
        for number, test in enumerate(tests, 1):
            pixels = cv2.imread(str(recognizer.pack.path(test.picture)), cv2.IMREAD_COLOR)
            if pixels is None:
                yield f"self-test picture {number} of {len(tests)} cannot be decoded"
                return
            found = recognizer.candidates_in(pixels)  # type: ignore[arg-type]  # cv2 does not say uint8
            if sorted(candidate.text for candidate in found if candidate.text) != list(test.texts):
                yield f"self-test picture {number} of {len(tests)} is not read as its manifest says"
                return
    except RecognizerError as error:
        yield str(error)
        return
    if not any(test.texts for test in tests):
        yield "it has no self-test with a plate"


def main(folder: str) -> int:
    """Try the pack in *folder*; the exit status is 0 if it passed."""
    confine()
    why = next(faults(Path(folder)), "")
    sys.stdout.write(f"{why or PASSED}\n")
    return 1 if why else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
