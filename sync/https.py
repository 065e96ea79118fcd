"""The way to the department's server: HTTPS with a certificate on both sides. It decides nothing.

What leaves here is one of three: the answer's bytes, `UnreachableError` (try again; `NotTrustedError` among
them says to tell a person too) or `RefusedError` (do not try again with the same bytes).
"""

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import httpx

from sync.batch import SignedBatch
from sync.config import SyncConfig
from sync.errors import NotTrustedError, RefusedError, TooSlowError, UnreachableError
from sync.local_book import SignedBook
from sync.receipts import MAX_RECEIPT_BYTES
from sync.tls import TlsFiles, certificate_fault, client_context
from sync.trust_source import HttpsSource

_TOLD_BYTES = 200
"""How much of a refusal's text is repeated: enough for its one line."""


class Pace(Protocol):
    """Lets bytes go as fast as they may."""

    def pieces(self, payload: bytes) -> Iterator[bytes]:
        """Yield *payload* in pieces, each when it may go; may raise UnreachableError."""
        ...


class HttpsTransport:
    """One connection to one server, kept open between exchanges. Not for several threads at a time."""

    def __init__(self, config: SyncConfig, files: TlsFiles, pace: Pace | None = None) -> None:
        """*pace* holds batches back, and nothing else; None: they go as fast as the network takes them.

        Raises NotTrustedError if the unit's own files cannot be used.
        """
        self._pace = pace
        self._exchange_timeout_s = config.exchange_timeout_s
        context = client_context(files)
        self._new_client: Callable[[], httpx.Client] = lambda: httpx.Client(
            base_url=config.server_url,
            verify=context,
            timeout=httpx.Timeout(config.io_timeout_s, connect=config.connect_timeout_s),
            limits=httpx.Limits(max_connections=1),
            # The environment's proxies and a redirect would both lead away from the department.
            trust_env=False,
            follow_redirects=False,
        )
        self._client = self._new_client()
        self._renewing = False

    def renew(self) -> None:
        """Open a new connection for the next exchange: the network is another, and over the last one an
        answer would be waited for in vain. Any thread may call it; what is on its way is left alone."""
        self._renewing = True

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def send(self, batch: SignedBatch) -> bytes:
        """Send *batch* and return the answer's bytes, which claim to be a receipt and are yet to be checked.

        Raises UnreachableError if nobody answered or the server is busy, RefusedError if it said no.
        """
        headers = {
            "Alpr-Batch": batch.batch_id,
            "Alpr-Signature": base64.b64encode(batch.signature).decode(),
            "Content-Type": "application/cbor",
            # Said here: a body that comes in pieces would else go without its length.
            "Content-Length": str(len(batch.payload)),
        }
        content = batch.payload if self._pace is None else self._pace.pieces(batch.payload)
        with self._answer("POST", "/v1/batches", content=content, headers=headers) as response:
            return self._body(response, MAX_RECEIPT_BYTES)

    def send_book(self, book: SignedBook) -> bytes:
        """Send what officers put on the unit, and return the answer's bytes; for the rest see `send`."""
        headers = {
            "Alpr-Signature": base64.b64encode(book.signature).decode(),
            "Content-Type": "application/cbor",
        }
        with self._answer("POST", "/v1/local-book", content=book.payload, headers=headers) as response:
            return self._body(response, MAX_RECEIPT_BYTES)

    def send_log(self, payload: bytes, signature: bytes) -> bytes:
        """Send a piece of the access log, and return the answer's bytes; for the rest see `send`."""
        headers = {
            "Alpr-Signature": base64.b64encode(signature).decode(),
            "Content-Type": "application/cbor",
        }
        with self._answer("POST", "/v1/access-log", content=payload, headers=headers) as response:
            return self._body(response, MAX_RECEIPT_BYTES)

    def send_status(self, status: bytes) -> None:
        """Tell how the unit is (`sync.unit_status`); for what is raised see `send`."""
        headers = {"Content-Type": "application/json"}
        with self._answer("PUT", "/v1/status", content=status, headers=headers):
            pass

    @property
    def updates(self) -> HttpsSource:
        """What the department has published, over this same connection."""
        return HttpsSource(self._current())

    def _current(self) -> httpx.Client:
        if self._renewing:
            self._renewing = False
            self._client.close()
            self._client = self._new_client()
        return self._client

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        *,
        content: bytes | Iterator[bytes] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Iterator[httpx.Response]:
        """Give the answer to one request if it is a 200; every other outcome is one of our errors."""
        # Without this a compressed answer could be far larger than what was received.
        asked = {"Accept-Encoding": "identity", **(headers or {})}
        try:
            with self._current().stream(method, path, content=content, headers=asked) as response:
                if response.status_code != 200:
                    raise self._refusal(response)
                yield response
        except httpx.HTTPError as error:
            fault = certificate_fault(error)
            if fault is not None:
                raise NotTrustedError(f"{fault}; nothing was transferred, check the certificates") from error
            raise UnreachableError(
                f"server cannot be reached ({type(error).__name__}: {error}); will try again"
            ) from error
        except httpx.InvalidURL as error:
            raise UnreachableError(f"server_url is not a usable address ({error}); correct it") from error

    def _refusal(self, response: httpx.Response) -> UnreachableError | RefusedError:
        status = response.status_code
        if status == 429 or status >= 500:
            return UnreachableError(
                f"server is busy (status {status}); will try again",
                retry_after_s=_seconds(response.headers.get("Retry-After")),
            )
        if status == 408:
            return TooSlowError("the network is too slow for so much at once (status 408); will send less")
        if 400 <= status < 500:
            said = self._start(response)
            return RefusedError(
                f"server refused (status {status}): {said or 'it gave no reason'}", status=status
            )
        # A redirect, or a success we do not know: a captive portal of the garage's Wi-Fi answers like this.
        return UnreachableError(f"answer is not the department's (status {status}); will try again")

    def _start(self, response: httpx.Response) -> str:
        said = b""
        for chunk in self._chunks(response):
            said += chunk
            if len(said) >= _TOLD_BYTES:
                break
        text = said[:_TOLD_BYTES].decode("utf-8", "replace")
        return "".join(c if c.isprintable() else " " for c in text).strip()

    def _body(self, response: httpx.Response, limit: int) -> bytes:
        body = b""
        for chunk in self._chunks(response):
            body += chunk
            if len(body) > limit:
                raise UnreachableError(f"answer is longer than {limit} bytes; not the department's")
        return body

    def _chunks(self, response: httpx.Response) -> Iterator[bytes]:
        # Raw: whatever encoding the answer claims is not undone. The deadline is for a server that sends a
        # byte now and then, which no timeout between two bytes ends.
        deadline_ns = time.monotonic_ns() + int(self._exchange_timeout_s * 1e9)
        for chunk in response.iter_raw():
            if time.monotonic_ns() > deadline_ns:
                raise UnreachableError("answer takes too long; will try again")
            yield chunk


def _seconds(value: str | None) -> float | None:
    # The other form of Retry-After is a date; a unit's clock is not good enough to use one.
    return float(value) if value is not None and value.isdecimal() and len(value) <= 9 else None
