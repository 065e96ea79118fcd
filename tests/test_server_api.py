"""The unit port is what its OpenAPI document says, and neither port breaks by what it is sent."""

import asyncio
import base64
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import func, select
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from server import unit_api
from server.database import reading
from server.department import Department
from server.desk import SESSION_COOKIE
from server.intake import Intake
from server.local_books import LocalBooks
from server.tables import batches, reads
from server.unit_logs import UnitLogs
from server.unit_port import unit_app
from tests.departments import NOW, ROOT, Unit, a_department, a_unit
from tests.fakes import a_read
from tests.visitors import Visitor


@schemathesis.serializer("application/cbor")
def as_it_is(_: Any, value: Any) -> Any:
    """Bodies are made here as bytes: nothing is left to be done."""
    return value


DOCUMENT = ROOT / "docs" / "openapi.json"
EXAMPLES = 60
example_settings = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class OverTls:
    """What the TLS listener adds to each request: the certificate of the unit at the other end."""

    def __init__(self, app: ASGIApp, unit: Unit) -> None:
        self._app = app
        self._chain = [(unit.keys / "unit.tls.cert.pem").read_text()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application."""
        extensions = {"tls": {"client_cert_chain": self._chain}}
        await self._app({**scope, "extensions": extensions}, receive, send)


def the_unit_port(department: Department) -> FastAPI:
    intake = Intake(department.engine, department.keys, department.folder.quarantine)
    books = LocalBooks(department.engine, department.keys, intake)
    logs = UnitLogs(department.engine, department.keys, intake)
    return unit_app(intake, books, logs, department.publications, lambda: NOW)


@pytest.fixture(scope="module")
def department(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Department]:
    made = a_department(tmp_path_factory.mktemp("department") / "department")
    yield made
    made.engine.dispose()


@pytest.fixture(scope="module")
def unit(department: Department, tmp_path_factory: pytest.TempPathFactory) -> Unit:
    return a_unit(department, tmp_path_factory.mktemp("unit") / "unit")


def test_the_document_is_that_of_the_code(department: Department) -> None:
    described = unit_api.describe(the_unit_port(department))
    assert json.loads(DOCUMENT.read_text()) == described, "python -m tests.make_openapi writes it anew"


def test_every_route_of_the_protocol_is_described(department: Department) -> None:
    told = set(re.findall(r"`?(?:POST|PUT|GET) (/v1/[a-z-]+)", (ROOT / "docs" / "protocol.md").read_text()))
    described = {path.removesuffix("/{name}") for path in json.loads(DOCUMENT.read_text())["paths"]}
    assert described == told


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_nothing_that_is_sent_to_the_unit_port_breaks_it_or_its_document(
    department: Department, unit: Unit, mode: GenerationMode
) -> None:
    app = the_unit_port(department)
    document = unit_api.describe(app)
    app.add_route("/openapi.json", lambda _: JSONResponse(document))
    schema = schemathesis.openapi.from_asgi("/openapi.json", OverTls(app, unit))
    signed = unit.batch([a_read(), a_read()])
    headers = {"Alpr-Batch": signed.batch_id, "Alpr-Signature": base64.b64encode(signed.signature).decode()}
    bodies = st.binary(max_size=300) | spoilt(signed.payload)
    tried = fuzz(
        schema,
        mode,
        bodies,
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
        headers=headers,
    )
    # A file's name can be anything, so there is no wrong one.
    assert len(tried) >= len(document["paths"]) - (mode is GenerationMode.NEGATIVE)
    with reading(department.engine) as connection:
        for table in (batches, reads):
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 0


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_nothing_that_is_sent_to_the_pages_breaks_them(department: Department, mode: GenerationMode) -> None:
    with asyncio.Runner() as runner:
        visitor = Visitor(department, runner)
        document = visitor.app.openapi()
        visitor.app.add_route("/openapi.json", lambda _: JSONResponse(document))
        schema: Any = schemathesis.openapi.from_asgi("/openapi.json", visitor.app)
        tried = 0
        for found in schema.get_all_operations():

            @settings(example_settings, max_examples=EXAMPLES // 4)
            @given(case=found.ok().as_strategy(generation_mode=mode))
            def send(case: Any) -> None:
                nonlocal tried
                if case.operation.path != "/login":
                    if not visitor.client.cookies.get(SESSION_COOKIE):
                        visitor.log_in("chief")
                    case.headers["Cookie"] = f"{SESSION_COOKIE}={visitor.client.cookies[SESSION_COOKIE]}"
                    if isinstance(case.body, dict):
                        case.body["form_token"] = visitor.form_token
                response = case.call()
                if response.headers.get("location") == ["/login"]:
                    visitor.client.cookies.clear()
                case.validate_response(response, checks=[not_a_server_error])
                tried += 1

            with suppress(Unsatisfiable):
                send()
    assert tried > len(visitor.routes())


def test_the_fuzzer_finds_a_port_that_breaks(department: Department, unit: Unit) -> None:
    app = the_unit_port(department)

    @app.get("/v1/broken", responses={200: {}})
    def broken(number: int) -> int:
        return 1 // (number - number)

    document = app.openapi()
    app.add_route("/openapi.json", lambda _: JSONResponse(document))
    schema = schemathesis.openapi.from_asgi("/openapi.json", OverTls(app, unit)).include(path="/v1/broken")
    with pytest.raises(ZeroDivisionError):
        fuzz(schema, GenerationMode.POSITIVE, st.just(b""), not_a_server_error)


def spoilt(payload: bytes) -> st.SearchStrategy[bytes]:
    """Return a batch of which something is missing, doubled or changed."""

    def spoil(place: int, kind: str, value: int) -> bytes:
        if kind == "cut":
            return payload[:place]
        if kind == "doubled":
            return payload[:place] + payload
        return payload[:place] + bytes([payload[place] ^ value]) + payload[place + 1 :]

    kinds = st.sampled_from(("cut", "doubled", "changed"))
    return st.builds(spoil, st.integers(0, len(payload) - 1), kinds, st.integers(1, 255))


def fuzz(
    schema: Any,
    mode: GenerationMode,
    bodies: st.SearchStrategy[bytes],
    *wanted: Any,
    headers: Mapping[str, str] | None = None,
) -> list[str]:
    """Send made-up requests to every operation of *schema*; return the paths that were tried.

    Half of the requests that have a body carry *headers* in place of made-up ones.
    """
    tried = []
    for found in schema.get_all_operations():
        operation = found.ok()
        strategy = operation.as_strategy(generation_mode=mode)

        @example_settings
        @given(case=strategy, body=bodies, honest=st.booleans())
        def send(case: Any, body: bytes, honest: bool) -> None:
            if case.operation.method.upper() != "GET":
                case.body = body
                if honest and headers:
                    case.headers.update(headers)
            case.call_and_validate(checks=list(wanted))

        with suppress(Unsatisfiable):  # nothing wrong can be made up for it
            send()
            tried.append(operation.path)
    return tried
