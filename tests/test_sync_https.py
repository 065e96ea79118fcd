"""HTTPS with certificates on both sides, against a real TLS server on loopback."""

import base64
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sync.batch import SignedBatch
from sync.config import SyncConfig
from sync.errors import NotTrustedError, RefusedError, SyncError, TooSlowError, UnreachableError
from sync.https import HttpsTransport
from sync.local_book import SignedBook
from sync.receipts import MAX_RECEIPT_BYTES
from sync.tls import TlsFiles, client_context
from tests.fakes import UNIT
from tests.pki import Authority, authority

BATCH = SignedBatch("b1", b"the payload" * 1000, b"s" * 64)

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """A TLS server that answers every request as `answer` does, and keeps what was asked."""

    def __init__(self, ca: Authority, files: TlsFiles) -> None:
        self.answer: Answer = replying(200, b"ok")
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.asked.append((self.path, dict(self.headers.items()), body))
                outer.answer(self)

            do_GET = do_POST

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A refused handshake is what some tests want."""

            def finish_request(self, request: object, client_address: object) -> None:
                request.do_handshake()  # type: ignore[attr-defined]  # in the request's own thread
                super().finish_request(request, client_address)  # type: ignore[arg-type]  # as given

        self.context = context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        context.load_verify_locations(ca.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
        self._http = Quiet(("127.0.0.1", 0), Handler)
        self._http.socket = context.wrap_socket(
            self._http.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def replying(status: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def endless(handler: BaseHTTPRequestHandler) -> None:
    """Send without end; the other side's going away ends it."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(bytes(65536))
    except OSError:
        handler.close_connection = True


def dripping(handler: BaseHTTPRequestHandler) -> None:
    """Send a byte now and then."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    try:
        for _ in range(100):
            handler.wfile.write(b"x")
            time.sleep(0.05)
    except OSError:
        handler.close_connection = True


def hanging_up(handler: BaseHTTPRequestHandler) -> None:
    """Promise more than comes."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"half a rec")
    handler.close_connection = True


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("pki") / "department")


@pytest.fixture(scope="module")
def unit_files(ca: Authority) -> TlsFiles:
    return ca.issue(UNIT)


@pytest.fixture
def server(ca: Authority) -> Iterator[Server]:
    running = Server(ca, ca.issue("server", hosts=("127.0.0.1",)))
    yield running
    running.close()


def transport_to(url: str, files: TlsFiles) -> HttpsTransport:
    return HttpsTransport(
        SyncConfig(server_url=url, connect_timeout_s=5, io_timeout_s=5, exchange_timeout_s=0.5), files
    )


@pytest.fixture
def transport(server: Server, unit_files: TlsFiles) -> Iterator[HttpsTransport]:
    made = transport_to(server.url, unit_files)
    yield made
    made.close()


def failure(url: str, files: TlsFiles) -> SyncError:
    transport = transport_to(url, files)
    with pytest.raises(SyncError) as caught:
        transport.send(BATCH)
    transport.close()
    return caught.value


def test_a_batch_arrives_byte_for_byte_with_its_name_and_signature(
    server: Server, transport: HttpsTransport
) -> None:
    server.answer = replying(200, b"a receipt")
    assert transport.send(BATCH) == b"a receipt"
    path, headers, body = server.asked[0]
    assert (path, body) == ("/v1/batches", BATCH.payload)
    assert headers["Alpr-Batch"] == "b1"
    assert base64.b64decode(headers["Alpr-Signature"], validate=True) == BATCH.signature
    assert headers["Content-Type"] == "application/cbor"


def test_a_local_book_arrives_byte_for_byte_with_its_signature(
    server: Server, transport: HttpsTransport
) -> None:
    server.answer = replying(200, b"a receipt")
    book = SignedBook(b"a book", bytes(range(64)))
    assert transport.send_book(book) == b"a receipt"
    path, headers, body = server.asked[0]
    assert (path, body) == ("/v1/local-book", b"a book")
    assert base64.b64decode(headers["Alpr-Signature"], validate=True) == book.signature
    server.answer = replying(200, bytes(MAX_RECEIPT_BYTES + 1))
    with pytest.raises(UnreachableError):
        transport.send_book(book)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422])
def test_a_no_is_a_refusal_with_its_status_and_reason(
    server: Server, transport: HttpsTransport, status: int
) -> None:
    server.answer = replying(status, b'{"error": "because"}')
    with pytest.raises(RefusedError, match="because") as refusal:
        transport.send(BATCH)
    assert refusal.value.status == status


def test_a_reason_is_shown_short_and_without_control_characters(
    server: Server, transport: HttpsTransport
) -> None:
    server.answer = replying(422, b"no\x1b[2J\n" * 500)
    with pytest.raises(RefusedError) as refusal:
        transport.send(BATCH)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(("status", "asked", "wait_s"), [(503, "17", 17), (429, "5", 5), (500, "", None)])
def test_a_busy_server_is_tried_again_when_it_says(
    server: Server, transport: HttpsTransport, status: int, asked: str, wait_s: float | None
) -> None:
    server.answer = replying(status, b"busy", **({"Retry_After": asked} if asked else {}))
    with pytest.raises(UnreachableError) as busy:
        transport.send(BATCH)
    assert busy.value.retry_after_s == wait_s


def test_a_server_that_waited_long_enough_has_refused_nothing(
    server: Server, transport: HttpsTransport
) -> None:
    server.answer = replying(408, b'{"error": "body did not arrive in 300 s"}')
    with pytest.raises(TooSlowError, match="will send less"):
        transport.send(BATCH)


@pytest.mark.parametrize("said", ["soon", "-3", "1e9", "Fri, 31 Dec 1999 23:59:59 GMT", "9" * 400])
def test_a_retry_after_that_is_no_number_of_seconds_is_left_out(
    server: Server, transport: HttpsTransport, said: str
) -> None:
    server.answer = replying(503, Retry_After=said)
    with pytest.raises(UnreachableError) as busy:
        transport.send(BATCH)
    assert busy.value.retry_after_s is None


@pytest.mark.parametrize("status", [204, 302, 307])
def test_a_captive_portals_answer_is_neither_receipt_nor_refusal(
    server: Server, transport: HttpsTransport, status: int
) -> None:
    server.answer = replying(status, Location="https://portal.invalid/login")
    with pytest.raises(UnreachableError, match="not the department's"):
        transport.send(BATCH)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (endless, f"longer than {MAX_RECEIPT_BYTES}"),
        (dripping, "too long"),
        (hanging_up, "cannot be reached"),
    ],
)
def test_an_answer_without_end_is_given_up(
    server: Server, transport: HttpsTransport, answer: Answer, why: str
) -> None:
    server.answer = answer
    with pytest.raises(UnreachableError, match=why):
        transport.send(BATCH)


def test_after_a_failure_the_same_transport_works_again(server: Server, transport: HttpsTransport) -> None:
    server.answer = hanging_up
    with pytest.raises(UnreachableError):
        transport.send(BATCH)
    server.answer = replying(200, b"a receipt")
    assert transport.send(BATCH) == b"a receipt"


def test_another_network_gets_a_connection_of_its_own(server: Server, transport: HttpsTransport) -> None:
    ports: list[int] = []

    def noting(handler: BaseHTTPRequestHandler) -> None:
        ports.append(handler.client_address[1])
        replying(200, b"ok")(handler)

    server.answer = noting
    for _ in range(2):
        transport.send(BATCH)
    transport.renew()
    for _ in range(2):
        transport.send(BATCH)
    assert ports[0] == ports[1] != ports[2] == ports[3]


def test_a_batch_broken_off_in_its_midst_comes_whole_the_next_time(
    server: Server, unit_files: TlsFiles
) -> None:
    class Stopping:
        stops = True

        def pieces(self, payload: bytes) -> Iterator[bytes]:
            yield payload[:10]
            if self.stops:
                raise UnreachableError("the unit is stopping")
            yield payload[10:]

    pace = Stopping()
    transport = HttpsTransport(SyncConfig(server_url=server.url, io_timeout_s=5), unit_files, pace)
    with pytest.raises(UnreachableError, match="stopping"):
        transport.send(BATCH)
    pace.stops = False
    assert transport.send(BATCH) == b"ok"
    transport.close()
    assert server.asked[-1][2] == BATCH.payload


def test_no_server_at_all_is_unreachable(unit_files: TlsFiles) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"https://127.0.0.1:{unused.getsockname()[1]}"
        assert type(failure(url, unit_files)) is UnreachableError


def test_a_server_that_speaks_no_tls_is_unreachable(unit_files: TlsFiles) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def answer() -> None:
            connection, _ = plain.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"https://127.0.0.1:{plain.getsockname()[1]}"
        assert type(failure(url, unit_files)) is UnreachableError
        thread.join()


def test_a_server_of_another_authority_gets_nothing_and_a_person_is_told(
    server: Server, unit_files: TlsFiles, tmp_path: Path
) -> None:
    other = authority(tmp_path / "other")
    files = TlsFiles(other.ca_file, unit_files.certificate, unit_files.key)
    error = failure(server.url, files)
    assert isinstance(error, NotTrustedError)
    assert "server's certificate is not accepted" in str(error)
    assert server.asked == []


@pytest.mark.parametrize("name", ["another-host", "lapsed"])
def test_a_server_certificate_for_another_host_or_time_is_not_accepted(
    ca: Authority, unit_files: TlsFiles, name: str
) -> None:
    hosts, days = (("other.test",), 1.0) if name == "another-host" else (("127.0.0.1",), -1.0)
    server = Server(ca, ca.issue(name, hosts=hosts, days=days))
    try:
        assert isinstance(failure(server.url, unit_files), NotTrustedError)
        assert server.asked == []
    finally:
        server.close()


@pytest.mark.parametrize("name", ["stranger", "lapsed-unit"])
def test_a_unit_certificate_that_the_server_does_not_accept_keeps_the_batch(
    server: Server, ca: Authority, tmp_path: Path, name: str
) -> None:
    # In TLS 1.2 the server looks at the certificate within the handshake, so that its alert surely comes.
    server.context.maximum_version = ssl.TLSVersion.TLSv1_2
    issuer = authority(tmp_path / "other") if name == "stranger" else ca
    own = issuer.issue(name, days=-1.0 if name == "lapsed-unit" else 1.0)
    error = failure(server.url, TlsFiles(ca.ca_file, own.certificate, own.key))
    assert isinstance(error, NotTrustedError)
    assert "does not accept this unit's certificate" in str(error)
    assert server.asked == []


def test_in_tls_1_3_too_a_stranger_gets_no_answer_and_keeps_its_batch(
    server: Server, ca: Authority, tmp_path: Path
) -> None:
    server.context.minimum_version = ssl.TLSVersion.TLSv1_3
    own = authority(tmp_path / "other").issue("stranger")
    assert isinstance(failure(server.url, TlsFiles(ca.ca_file, own.certificate, own.key)), UnreachableError)
    assert server.asked == []


def test_only_tls_1_2_and_later_and_only_the_departments_authority_count(unit_files: TlsFiles) -> None:
    context = client_context(unit_files)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.cert_store_stats()["x509_ca"] == 1


def test_missing_or_broken_tls_files_are_said_clearly(unit_files: TlsFiles, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    for files in (
        TlsFiles(tmp_path / "absent.pem", unit_files.certificate, unit_files.key),
        TlsFiles(broken, unit_files.certificate, unit_files.key),
        TlsFiles(unit_files.ca, broken, unit_files.key),
        TlsFiles(unit_files.ca, unit_files.certificate, broken),
    ):
        with pytest.raises(NotTrustedError, match="enroll the unit again"):
            transport_to("https://127.0.0.1:1", files)


def test_the_environments_proxy_is_not_used(
    server: Server, unit_files: TlsFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    transport = transport_to(server.url, unit_files)
    assert transport.send(BATCH) == b"ok"
    transport.close()
