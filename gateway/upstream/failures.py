"""Our words for what goes wrong, and what foreign exceptions mean: the table through which they become ours.

The messages are ours. What an exception says may hold an address or a name, so it stays behind as ``__cause__`` at
most, and is never part of the text.
"""

import errno
import socket
import ssl
import zlib

from httptools import HttpParserError, HttpParserUpgrade

from adapters.errors import Garbled, NotConnected, ProviderError, Unavailable
from gateway.gate import Overloaded

LOST = "the connection to the provider was lost before an answer came"
CUT = "the provider's answer was cut short"
NOT_CONNECTED = "the provider could not be connected to in time"
SILENT = "the provider did not begin to answer in time"
STALLED = "the provider stopped in the middle of its answer"
LATE = "the provider did not finish its answer in time"
TOO_LARGE = "the provider's answer is too large"
TOO_LONG = "the head of the provider's answer is too large"
NOT_INFLATED = "the provider's answer could not be decompressed"
NO_FILES = "the gateway has no open file left for a connection to the provider"
CLOSED = "the gateway is closing its connections"

MEANING: tuple[tuple[type[Exception], type[ProviderError], str], ...] = (
    (socket.gaierror, Unavailable, "the provider's name could not be resolved"),
    (ssl.SSLCertVerificationError, Unavailable, "the provider's certificate could not be verified"),
    (ssl.SSLError, Unavailable, "no secure connection to the provider"),
    (ssl.CertificateError, Unavailable, "the provider's certificate could not be verified"),
    (TimeoutError, NotConnected, NOT_CONNECTED),
    (ConnectionRefusedError, Unavailable, "the provider refused the connection"),
    (ConnectionError, Unavailable, LOST),
    (OSError, Unavailable, "could not connect to the provider"),
    (HttpParserError, Garbled, "the provider's answer is not HTTP"),
    (HttpParserUpgrade, Garbled, "the provider's answer changes the protocol"),
    (zlib.error, Garbled, NOT_INFLATED),
)
"""The first row that fits counts, so narrower classes stand above wider ones."""


def meaning(error: Exception) -> ProviderError:
    """Ours, for an exception of the network, TLS, HTTP or compression."""
    if isinstance(error, ProviderError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):  # our own want, not theirs
        return Overloaded(NO_FILES, retry_after=1)
    for kind, ours, message in MEANING:
        if isinstance(error, kind):
            return ours(message)
    return Unavailable("could not talk to the provider")
