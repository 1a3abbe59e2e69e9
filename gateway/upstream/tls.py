"""TLS to providers: certificates are always verified, and sessions are resumed, which halves a reconnect's cost."""

import os
import ssl
from collections.abc import Mapping

import certifi

KEPT = 256
"""Sessions kept, one for each name."""


class Tls(ssl.SSLContext):
    """A client's context. Sessions are kept by the name that was verified: a resumed session is not verified again,
    so it must never be offered under another."""

    _sessions: dict[str, ssl.SSLSession]

    def remember(self, connection: ssl.SSLObject) -> None:
        """Keeps what the next connection to the same name can resume. TLS 1.3 sends it after the handshake, so this
        is for when the first answer has come."""
        session, name = connection.session, connection.server_hostname
        if session is None or name is None:
            return
        self._sessions.pop(name, None)
        self._sessions[name] = session
        if len(self._sessions) > KEPT:
            del self._sessions[next(iter(self._sessions))]

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """What event loops call to begin a connection; none of them passes a session."""
        if session is None and isinstance(server_hostname, str):
            session = self._sessions.get(server_hostname)
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)


def tls(ca_file: str | None, environ: Mapping[str, str] = os.environ) -> Tls:
    """Trusts ``ca_file``, else what ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` name, else certifi's list.

    Takes some 50 ms for a whole list of authorities.
    """
    context = Tls(ssl.PROTOCOL_TLS_CLIENT)
    context._sessions = {}
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    file, directory = environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")
    if ca_file is not None:
        file, directory = ca_file, None
    elif not file and not directory:
        file = certifi.where()
    context.load_verify_locations(file or None, directory or None)
    return context
