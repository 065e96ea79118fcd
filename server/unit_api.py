"""What the unit port says of itself in OpenAPI: bodies are bytes in the forms of docs/protocol.md.

docs/openapi.json is that, and a test holds it to it.
"""

from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import FileResponse

from sync.access_log import MAX_PIECE_BYTES
from sync.batch import MAX_BATCH_BYTES
from sync.local_book import MAX_BOOK_BYTES
from sync.unit_status import MAX_STATUS_BYTES

TITLE = "Units of a department"
DESCRIPTION = (
    "What a unit hands in and fetches, over TLS with a client certificate of the department's own authority. "
    "Bodies are CBOR, signed by the unit and sealed to the department: see docs/protocol.md."
)
_CBOR = "application/cbor"
_BYTES = {"type": "string", "format": "binary"}
_SIGNATURE = {
    "name": "Alpr-Signature",
    "in": "header",
    "required": True,
    "description": "Ed25519 signature of the body by the unit's key, in base64.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9+/]{86}==$"},
}
_BATCH_ID = {
    "name": "Alpr-Batch",
    "in": "header",
    "required": True,
    "description": "The batch's id. The same batch always has the same answer.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"},
}
_REFUSALS = {
    400: "the connection ended before the body did",
    403: "the certificate is of no unit that may come in, or what was sent is another's; it is logged",
    408: "the body did not arrive in time",
    409: "what is held is other than what was sent; the log has an entry",
    413: "the body is larger than it may be",
    422: "signature, seal or form do not fit; the bytes are in quarantine and the log has an entry",
    503: "database, disk or server are busy or full: nothing was stored; come again after the time told",
}
_ERROR_SCHEMA = {
    "type": "object",
    "properties": {"error": {"type": "string", "description": "What, which, what to do."}},
    "required": ["error"],
    "additionalProperties": False,
}


def handed_in(what: str, most: int, *headers: dict[str, Any]) -> dict[str, Any]:
    """Return what a route says that takes *what*, at most *most* bytes, and answers with a receipt."""
    receipt = {
        "description": "The department's signed receipt: what was sent is on its disk.",
        "content": {_CBOR: {"schema": _BYTES}},
    }
    return {
        "summary": f"Hand in {what}",
        "response_class": Response,
        "responses": {200: receipt} | refusals(400, 403, 408, 409, 413, 422, 503),
        "openapi_extra": {
            "parameters": list(headers),
            "requestBody": {
                "required": True,
                "description": f"At most {most:,} bytes.",
                "content": {_CBOR: {"schema": _BYTES}},
            },
        },
    }


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return what a route says of the refusals it may answer with."""
    return {status: _refusal(_REFUSALS[status]) for status in statuses}


def _refusal(why: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {"description": f"{why[0].upper()}{why[1:]}.", "content": content}


BATCH = handed_in("a batch of sealed reads", MAX_BATCH_BYTES, _BATCH_ID, _SIGNATURE)
BOOK = handed_in("what officers put on this unit: entries and suppressions", MAX_BOOK_BYTES, _SIGNATURE)
LOG = handed_in("a piece of the unit's access log", MAX_PIECE_BYTES, _SIGNATURE)
STATUS: dict[str, Any] = {
    "summary": "Say how this unit is",
    "response_class": Response,
    "responses": {200: {"description": "It is noted.", "content": {}}}
    | refusals(400, 403, 408, 413, 422, 503),
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "description": f"At most {MAX_STATUS_BYTES:,} bytes. It names no plate and no place.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
    },
}
PUBLISHED: dict[str, Any] = {
    "summary": "Fetch a file of the signed publication",
    "response_class": FileResponse,
    "responses": {
        200: {
            "description": "The file, whole.",
            "content": {"application/octet-stream": {"schema": _BYTES}},
        },
        206: {
            "description": "The part of it that Range asked for.",
            "content": {"application/octet-stream": {"schema": _BYTES}},
        },
        404: _refusal("nothing is published under that name"),
        416: {"description": "It is shorter than that."},
    }
    | refusals(403, 503),
}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of the unit port."""
    found: dict[str, Any] = app.openapi()
    # FastAPI's own error is never answered with: bodies are read as bytes, and judged by the protocol.
    found["components"] = {"schemas": {"Error": _ERROR_SCHEMA}}
    for path in found["paths"].values():
        for operation in path.values():
            operation["responses"] = {
                status: said
                for status, said in operation["responses"].items()
                if "HTTPValidationError" not in str(said)
            }
    return found
