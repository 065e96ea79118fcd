"""An RTSP server of a few lines: ffmpeg packs a recording into RTP, this hands it on in the TCP connection.

One client, one video track, no authentication: what a network camera does for one viewer (RFC 2326).
"""

import contextlib
import re
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path


class RtspServer:
    """Serves *video* in a loop on 127.0.0.1 until `close`; `mute` makes it fall silent, connected."""

    def __init__(self, video: Path, sdp: Path) -> None:
        self._rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._rtp.bind(("127.0.0.1", 0))
        self._rtp.settimeout(0.2)
        rtp = f"rtp://127.0.0.1:{self._rtp.getsockname()[1]}"
        play = ["-re", "-stream_loop", "-1", "-i", str(video), "-c:v", "mpeg4", "-g", "5"]
        quiet = ["ffmpeg", "-nostdin", "-loglevel", "error"]
        self._ffmpeg = subprocess.Popen([*quiet, *play, "-f", "rtp", "-sdp_file", str(sdp), rtp])
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(0.2)
        self.url = f"rtsp://127.0.0.1:{self._listening.getsockname()[1]}/drive"
        self.mute = False
        self._closing = False
        self._sdp = sdp
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._closing = True
        self._thread.join()
        self._ffmpeg.kill()
        self._ffmpeg.wait()
        self._rtp.close()
        self._listening.close()

    def _serve(self) -> None:
        while not self._closing:
            with contextlib.suppress(TimeoutError, ConnectionError):
                client, _ = self._listening.accept()
                with client:
                    self._answer(client)

    def _answer(self, client: socket.socket) -> None:
        client.settimeout(5)
        requests = client.makefile("rb")
        while line := requests.readline():
            method = line.split()[0].decode()
            headers = {}
            while (header := requests.readline().strip()) and b":" in header:
                name, _, value = header.partition(b":")
                headers[name.decode().lower()] = value.decode().strip()
            client.sendall(self._reply(method, headers["cseq"]))
            if method == "PLAY":
                self._play(client)
                return

    def _reply(self, method: str, cseq: str) -> bytes:
        extra, body = "", ""
        if method == "OPTIONS":
            extra = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        elif method == "DESCRIBE":
            end = time.monotonic() + 10
            while not (self._sdp.exists() and "m=video" in self._sdp.read_text()):
                assert time.monotonic() < end, "ffmpeg described no stream"
                time.sleep(0.05)
            body = re.sub(r"m=video \d+", "m=video 0", self._sdp.read_text()) + "a=control:track\r\n"
            extra = f"Content-Type: application/sdp\r\nContent-Base: {self.url}/\r\n"
        elif method == "SETUP":
            extra = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
        elif method == "PLAY":
            extra = "Session: 1\r\n"
        return f"RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n{extra}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    def _play(self, client: socket.socket) -> None:
        while not self._closing:
            with contextlib.suppress(TimeoutError):
                packet = self._rtp.recv(65_536)
                if not self.mute:
                    client.sendall(b"$" + struct.pack(">BH", 0, len(packet)) + packet)
