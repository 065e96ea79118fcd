"""One live camera's process: `python -m camera.child`, started and killed by the unit.

A driver that hangs takes only this process with it. The configuration comes as JSON on standard input,
not as an argument: other users can read arguments, and an RTSP address carries its password.
"""

import argparse
import ctypes
import json
import os
import signal
import sys
from collections.abc import Sequence

from camera.config import CameraConfig
from camera.errors import CameraError, RecordingUnreadableError
from camera.ring import RingWriter
from camera.source import open_source

EXIT_ENDED = 0
"""A recording came to its end."""
EXIT_LOST = 75
"""The source is lost: try again later (EX_TEMPFAIL of sysexits.h). The reason is on standard error."""
EXIT_UNREADABLE = 66
"""The recording cannot be read: trying again is of no use (EX_NOINPUT)."""

_PR_SET_PDEATHSIG = 1


def die_with(parent: int) -> None:
    """Have the kernel kill this process when process *parent* ends, however it ends.

    A frozen driver call cannot look at a pipe, a signal reaches it. Raises SystemExit if it ended already.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit(EXIT_LOST)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pictures of the source named on standard input into a ring, until it ends or is lost.

    Returns the exit status, one of `EXIT_*`; the reason of a failure is one line on standard error.
    """
    parser = argparse.ArgumentParser(prog="camera.child")
    parser.add_argument("--ring", type=int, required=True, help="descriptor of the ring's memory")
    parser.add_argument("--wake", type=int, required=True, help="descriptor of the ring's pipe")
    parser.add_argument("--parent", type=int, required=True, help="process to end with")
    chosen = parser.parse_args(arguments)
    die_with(chosen.parent)
    config = CameraConfig(**json.load(sys.stdin))
    ring = RingWriter(chosen.ring, chosen.wake)
    try:
        _carry(config, ring)
    except BrokenPipeError:
        return EXIT_LOST
    except RecordingUnreadableError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_UNREADABLE
    except (CameraError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_LOST
    return EXIT_ENDED


def _carry(config: CameraConfig, ring: RingWriter) -> None:
    source = open_source(config)
    try:
        for picture in source.pictures():
            height_px, width_px = picture.pixels.shape[:2]
            ring.write(
                picture.pixels.data.cast("B"),
                width_px=width_px,
                height_px=height_px,
                stride_bytes=3 * width_px,
                sequence=picture.sequence,
                taken_at_ns=picture.taken_at_ns,
                media_time_s=picture.media_time_s,
            )
    finally:
        source.close()


if __name__ == "__main__":
    sys.exit(main())
