"""A secret inside a TPM 2.0: the one place of a unit in which what is overwritten is really gone.

Through the tools of the tpm2-tools package, a process a call. A TPM's memory bears some 100,000 writings; the
window writes when a slot begins and when one ends, twice an hour at most as it comes. The secret crosses the
board's bus in the clear: who taps a running board's bus is not kept out.
"""

import os
import subprocess
from pathlib import Path

from edge.errors import WindowLostError

DEVICE = Path("/dev/tpmrm0")
"""The kernel's own resource manager, which shares a TPM among several programs."""
NV_INDEX = 0x0180A1B0
"""Where in the TPM: in the range that the owner of the machine gives out."""
SECRET_BYTES = 32
_PATIENCE_S = 10.0
_MISSING = "0x18b"
"""TPM_RC_HANDLE: nothing was defined there yet."""


class TpmAnchor:
    """Fills `edge.window_file.Anchor`."""

    def __init__(self, tcti: str, nv_index: int = NV_INDEX) -> None:
        """*tcti* says which TPM, as the tools know it: "device:/dev/tpmrm0"."""
        self._tcti = tcti
        self._index = hex(nv_index)

    def read(self) -> bytes:
        """Return the secret; empty if there is none yet. Raises WindowLostError if the TPM does not say."""
        done = self._run("tpm2_nvread", self._index, "-s", str(SECRET_BYTES))
        if done.returncode == 0:
            return done.stdout
        if _MISSING in done.stderr.decode(errors="replace").lower():
            return b""
        raise self._lost("does not give its secret")

    def replace(self, secret: bytes) -> None:
        """Put *secret* (32 bytes) in the old one's place. Raises WindowLostError if the TPM refuses it."""
        if self._write(secret):
            return
        # Any process that may use the TPM may use this: what it guards needs the storage key as well.
        attributes = "authread|authwrite|no_da"
        self._run("tpm2_nvdefine", self._index, "-C", "o", "-s", str(SECRET_BYTES), "-a", attributes)
        if not self._write(secret):
            raise self._lost("does not take a new secret")

    def _write(self, secret: bytes) -> bool:
        # By the pipe, not as an argument: arguments can be seen by others.
        return self._run("tpm2_nvwrite", self._index, "-i", "-", data=secret).returncode == 0

    def _run(self, *command: str, data: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        environment = os.environ | {"TPM2TOOLS_TCTI": self._tcti, "TSS2_LOG": "all+NONE"}
        try:
            return subprocess.run(
                command, input=data, capture_output=True, timeout=_PATIENCE_S, check=False, env=environment
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise self._lost(f"cannot be asked ({type(error).__name__})") from error

    def _lost(self, what: str) -> WindowLostError:
        return WindowLostError(
            f"the TPM ({self._tcti}) {what}; look-up on the unit does not outlive a restart."
            " Install tpm2-tools, let the service use the TPM, or set retention.window_tpm"
        )


def anchor_of(setting: str) -> TpmAnchor | None:
    """Return the anchor that `retention.window_tpm` means; None if there is no TPM or none is to be used."""
    if setting != "auto":
        return TpmAnchor(setting) if setting else None
    try:
        os.close(os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        return None  # none there, or not for this service: see docs/decisions/0010-local-window.md
    return TpmAnchor(f"device:{DEVICE}")
