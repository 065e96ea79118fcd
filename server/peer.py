"""Hand the TLS client certificate of a connection to the application.

uvicorn verifies the certificate but does not pass it on. This subclass puts it into the ASGI scope, in the
form of the ASGI TLS extension: `scope["extensions"]["tls"]["client_cert_chain"]`, a list of one PEM text.
Decision 0003 says why so.
"""

import asyncio
import ssl
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class PeerCertificateProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 over TLS, whose requests carry the certificate of their own connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # uvicorn narrows the argument in the same way.
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        chain = [] if certificate is None else [ssl.DER_cert_to_PEM_cert(certificate)]
        inner = self.app

        async def with_certificate(scope: Any, receive: Any, send: Any) -> None:
            extensions = {**scope.get("extensions", {}), "tls": {"client_cert_chain": chain}}
            await inner({**scope, "extensions": extensions}, receive, send)

        self.app = with_certificate

    def shutdown(self) -> None:
        """End an idle connection at once: waiting for its TLS farewell would hold up the whole shutdown."""
        idle = self.cycle is None or self.cycle.response_complete
        super().shutdown()
        if idle:
            self.transport.abort()
