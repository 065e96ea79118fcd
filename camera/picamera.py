"""The Raspberry Pi's camera: this file is a program of its own, run by path under the system's Python.

`/usr/bin/python3 -P camera/picamera.py`, because picamera2 and libcamera come from the system's packages
and mixing their numpy with the virtual environment's breaks both. So nothing is imported here but the
standard library, picamera2 and, by path, `ring.py` beside this file. The pixels stay in picamera2's buffer
until they are copied into the ring. Arguments and exit statuses are those of `camera.child`.
"""

import argparse
import ctypes
import importlib.util
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

EXIT_LOST = 75
_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Write the camera's pictures into the ring until it is lost; the reason goes to standard error."""
    parser = argparse.ArgumentParser(prog="camera/picamera.py")
    parser.add_argument("--ring", type=int, required=True)
    parser.add_argument("--wake", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    chosen = parser.parse_args()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != chosen.parent:
        return EXIT_LOST
    config = json.load(sys.stdin)
    number = int(config["source"].partition(":")[2] or 0)
    ring = _ring_module().RingWriter(chosen.ring, chosen.wake)
    try:
        camera = _started(number, config)
        _carry(camera, ring)
    except ImportError:
        return _lost("picamera2 is not installed; install the package python3-picamera2")
    except BrokenPipeError:
        return EXIT_LOST
    except IndexError:
        return _lost(f"camera {number} is not there; check its ribbon cable, list them with rpicam-hello")
    except (RuntimeError, OSError, ValueError) as error:
        return _lost(f"camera {number} failed: {' '.join(str(error).split()) or type(error).__name__}")
    return EXIT_LOST


def _lost(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return EXIT_LOST


def _ring_module() -> Any:
    spec = importlib.util.spec_from_file_location("ring", Path(__file__).with_name("ring.py"))
    if spec is None or spec.loader is None:
        raise ImportError("ring.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["ring"] = module  # dataclasses look their module up here
    spec.loader.exec_module(module)
    return module


def _started(number: int, config: dict[str, Any]) -> Any:
    from picamera2 import Picamera2

    camera = Picamera2(number)
    # libcamera's "RGB888" is blue, green, red in memory (picamera2 manual, appendix A): our order.
    size = (config["width_px"], config["height_px"])
    rate = {"FrameRate": config["frames_per_s"]}
    camera.configure(
        camera.create_video_configuration(main={"size": size, "format": "RGB888"}, controls=rate)
    )
    camera.start()
    return camera


def _carry(camera: Any, ring: Any) -> None:
    main = camera.camera_configuration()["main"]
    width_px, height_px = main["size"]
    sequence = 0
    while True:
        request = camera.capture_request()
        try:
            ring.write(
                memoryview(request.make_buffer("main")).cast("B"),
                width_px=width_px,
                height_px=height_px,
                stride_bytes=main["stride"],
                sequence=sequence,
                # CLOCK_MONOTONIC at the start of the exposure (libcamera, controls::SensorTimestamp).
                taken_at_ns=request.get_metadata()["SensorTimestamp"],
            )
        finally:
            # A request that is not given back is one buffer less: four of them stop the camera.
            request.release()
        sequence += 1


if __name__ == "__main__":
    sys.exit(main())
