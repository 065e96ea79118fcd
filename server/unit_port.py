"""What a unit may ask for over mutual TLS: hand in batches, its local book and its access log, say how it is,
fetch what is published.

See docs/protocol.md.
"""

import asyncio
import base64
import binascii
import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import structlog
from cryptography import x509
from cryptography.x509.oid import NameOID
from fastapi import Depends, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse
from starlette.requests import ClientDisconnect

from server import unit_api
from server.errors import (
    BatchConflictError,
    BookConflictError,
    LogConflictError,
    NotPermittedError,
    StoreUnavailableError,
)
from server.intake import Intake, Peer
from server.keys import serial_of
from server.local_books import LocalBooks
from server.publications import Publications
from server.unit_logs import UnitLogs
from sync.access_log import MAX_PIECE_BYTES
from sync.batch import MAX_BATCH_BYTES, SignedBatch
from sync.errors import SealBrokenError, WireFormatError
from sync.local_book import MAX_BOOK_BYTES, SignedBook
from sync.unit_status import MAX_STATUS_BYTES

BATCHES_AT_ONCE = 8
"""So many batches are in memory together at most; a unit that comes on top is asked to wait."""
BODY_TIMEOUT_S = 300
"""16 MiB over a cellular link of 0.5 Mbit/s."""
_BATCH_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

_log = structlog.get_logger(__name__)


class _TooLargeError(Exception):
    """The body is larger than it may be: stop reading, answer 413."""


def unit_app(
    intake: Intake,
    books: LocalBooks,
    logs: UnitLogs,
    publications: Publications,
    clock: Callable[[], datetime],
) -> FastAPI:
    """Return the application for the port that demands client certificates."""
    # Described in docs/openapi.json, not by the port itself.
    app = FastAPI(
        title=unit_api.TITLE,
        description=unit_api.DESCRIPTION,
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    places = asyncio.Semaphore(BATCHES_AT_ONCE)

    @app.post("/v1/batches", **unit_api.BATCH)
    async def take_batch(request: Request) -> Response:
        peer = peer_of(request)
        if places.locked():
            raise StoreUnavailableError("as many batches as fit are on their way", retry_after_s=10)
        async with places:
            # Before its body is read: a revoked unit must not cost us 16 MiB.
            await run_in_threadpool(intake.admit, peer, clock())
            signed = await _signed_batch(request)
            receipt = await run_in_threadpool(intake.take, peer, signed, clock())
        return Response(receipt, media_type="application/cbor")

    @app.post("/v1/local-book", **unit_api.BOOK)
    async def take_book(request: Request) -> Response:
        peer = peer_of(request)
        if places.locked():
            raise StoreUnavailableError("as many books and batches as fit are on their way", retry_after_s=10)
        async with places:
            await run_in_threadpool(intake.admit, peer, clock())
            what = "local book"
            signature = _signature(request, what)
            too_large = f"{what}: is larger than {MAX_BOOK_BYTES} bytes; tell the department"
            signed = SignedBook(await _body(request, MAX_BOOK_BYTES, too_large), signature)
            receipt = await run_in_threadpool(books.take, peer, signed, clock())
        return Response(receipt, media_type="application/cbor")

    @app.post("/v1/access-log", **unit_api.LOG)
    async def take_log(request: Request) -> Response:
        peer = peer_of(request)
        if places.locked():
            raise StoreUnavailableError("as many logs and batches as fit are on their way", retry_after_s=10)
        async with places:
            await run_in_threadpool(intake.admit, peer, clock())
            what = "access log"
            signature = _signature(request, what)
            too_large = f"{what}: a piece is larger than {MAX_PIECE_BYTES} bytes; send fewer entries"
            payload = await _body(request, MAX_PIECE_BYTES, too_large)
            receipt = await run_in_threadpool(logs.take, peer, payload, signature, clock())
        return Response(receipt, media_type="application/cbor")

    _take_status(app, intake, clock)

    # Plain functions: FastAPI runs them on a thread of their own.
    def admitted(request: Request) -> Peer:
        peer = peer_of(request)
        intake.admit(peer, clock())
        return peer

    # Starlette serves ranges by itself, so that a long transfer goes on where it broke off.
    @app.get("/v1/updates/{name:path}", **unit_api.PUBLISHED)
    def published(name: str, _: Annotated[Peer, Depends(admitted)]) -> Response:
        path = publications.path_of(name)
        if path is None:
            return _error(404, "nothing is published under that name")
        return FileResponse(path, media_type="application/octet-stream")

    @app.exception_handler(NotPermittedError)
    async def not_permitted(_: Request, error: NotPermittedError) -> Response:
        return _error(403, str(error))

    @app.exception_handler(BatchConflictError)
    @app.exception_handler(BookConflictError)
    @app.exception_handler(LogConflictError)
    async def conflict(_: Request, error: Exception) -> Response:
        return _error(409, str(error))

    @app.exception_handler(_TooLargeError)
    async def too_large(_: Request, error: _TooLargeError) -> Response:
        # The rest of the body stays unread, so the connection cannot be used again.
        return _error(413, str(error), {"Connection": "close"})

    @app.exception_handler(SealBrokenError)
    @app.exception_handler(WireFormatError)
    async def broken(_: Request, error: Exception) -> Response:
        return _error(422, str(error))

    @app.exception_handler(StoreUnavailableError)
    async def unavailable(_: Request, error: StoreUnavailableError) -> Response:
        _log.error("store unavailable", why=str(error))
        return _error(503, str(error), {"Retry-After": str(error.retry_after_s)})

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, __: ClientDisconnect) -> Response:
        # Nobody reads this answer; without it a lost connection would be logged as our fault.
        return _error(400, "the connection ended before the body did")

    @app.exception_handler(TimeoutError)
    async def too_slow(_: Request, __: TimeoutError) -> Response:
        return _error(408, f"body did not arrive in {BODY_TIMEOUT_S} s", {"Connection": "close"})

    return app


def _take_status(app: FastAPI, intake: Intake, clock: Callable[[], datetime]) -> None:
    @app.put("/v1/status", **unit_api.STATUS)
    async def take_status(request: Request) -> Response:
        peer = peer_of(request)
        await run_in_threadpool(intake.admit, peer, clock())
        too_large = f"unit status: is larger than {MAX_STATUS_BYTES} bytes; shorten it"
        payload = await _body(request, MAX_STATUS_BYTES, too_large)
        await run_in_threadpool(intake.take_status, peer, payload, clock())
        return Response()


def peer_of(request: Request) -> Peer:
    """Return who is at the other end of *request*'s connection.

    Raises NotPermittedError if it showed no certificate; the TLS handshake already refuses that.
    """
    chain = request.scope["extensions"]["tls"]["client_cert_chain"]
    if not chain:
        raise NotPermittedError("no client certificate was shown")
    certificate = x509.load_pem_x509_certificate(chain[0].encode())
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    address = request.client.host if request.client is not None else "unknown"
    return Peer(str(names[0].value) if names else "", serial_of(certificate), address)


async def _signed_batch(request: Request) -> SignedBatch:
    """Return the batch in *request*, its body read no further than a batch may be large."""
    batch_id = request.headers.get("alpr-batch", "")
    if not _BATCH_ID.fullmatch(batch_id):
        raise WireFormatError("header Alpr-Batch must be 1 to 64 of A-Z, a-z, 0-9, _ and -")
    signature = _signature(request, f"batch {batch_id}")
    too_large = f"batch {batch_id}: is larger than {MAX_BATCH_BYTES} bytes; send fewer reads"
    return SignedBatch(batch_id, await _body(request, MAX_BATCH_BYTES, too_large), signature)


def _signature(request: Request, what: str) -> bytes:
    try:
        return base64.b64decode(request.headers.get("alpr-signature", ""), validate=True)
    except (binascii.Error, ValueError):
        raise WireFormatError(f"{what}: header Alpr-Signature must be base64") from None


async def _body(request: Request, limit: int, too_large: str) -> bytes:
    """Return the body of *request*; raises _TooLargeError, which says *too_large*, beyond *limit* bytes."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _TooLargeError(too_large)
    body, received = bytearray(), 0
    async with asyncio.timeout(BODY_TIMEOUT_S):
        async for chunk in request.stream():
            received += len(chunk)
            if received <= limit:
                body += chunk
            elif received > 2 * limit:
                break
    # Only now, and not at the first byte too many: a unit in the midst of sending would see the connection
    # end before it had read the answer, and send the same batch for ever.
    if received > limit:
        raise _TooLargeError(too_large)
    return bytes(body)


def _error(status: int, why: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": why}, status_code=status, headers=headers)
