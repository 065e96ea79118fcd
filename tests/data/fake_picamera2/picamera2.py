"""A picamera2 without a Pi: what `camera/picamera.py` asks of it, no more. Told by environment variables.

FAKE_PICAMERA2_DEVICE: a file that stands for the camera; while it is missing, the camera is.
FAKE_PICAMERA2_LOADED: a file to which the names of the modules loaded are written at the first picture.
"""

import os
import sys
import time
from pathlib import Path

_BUFFERS = 4
_PADDING_BYTES = 64


class Picamera2:
    def __init__(self, camera_num=0):
        self._device = Path(os.environ["FAKE_PICAMERA2_DEVICE"])
        if camera_num != 0 or not self._device.exists():
            raise IndexError("list index out of range")
        self._held = 0
        self._number = 0

    def create_video_configuration(self, main, controls):
        assert main["format"] == "RGB888"
        self._period_s = 1 / controls["FrameRate"]
        width, height = main["size"]
        stride = 3 * width + _PADDING_BYTES
        return {"main": {**main, "stride": stride, "framesize": stride * height}}

    def configure(self, configuration):
        self._configuration = configuration

    def camera_configuration(self):
        return self._configuration

    def start(self):
        pass

    def capture_request(self):
        time.sleep(self._period_s)
        if not self._device.exists():
            raise RuntimeError("Camera frontend has timed out!\nPlease check the cable.")
        if self._held == _BUFFERS:
            time.sleep(3600)  # as libcamera does when every buffer is in use
        self._held += 1
        self._number += 1
        if self._number == 1 and "FAKE_PICAMERA2_LOADED" in os.environ:
            Path(os.environ["FAKE_PICAMERA2_LOADED"]).write_text("\n".join(sorted(sys.modules)))
        return _Request(self, self._number)

    def released(self):
        self._held -= 1


class _Request:
    def __init__(self, camera, number):
        self._camera = camera
        self._number = number
        self._taken_at_ns = time.monotonic_ns()

    def make_buffer(self, name):
        main = self._camera.camera_configuration()[name]
        width, height = main["size"]
        row = bytes([self._number % 256, 100, 200]) * width + b"\xee" * _PADDING_BYTES
        return bytearray(row * height)

    def get_metadata(self):
        return {"SensorTimestamp": self._taken_at_ns, "ExposureTime": 2000}

    def release(self):
        self._camera.released()
