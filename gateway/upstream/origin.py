"""What an Endpoint means on the wire, worked out once: whom to connect to, and the head that every request begins with.

Whatever could smuggle a second request or header into a connection is refused here, where it is written down, so
nothing needs to be looked at again for each request.
"""

import re
from collections.abc import Iterator
from typing import Literal
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from adapters.types import Endpoint

PORTS: dict[str, int] = {"http": 80, "https": 443}

DEFAULTS = (("accept", "*/*"), ("content-type", "application/json"), ("user-agent", "llm-gateway"))
"""Sent unless the endpoint says otherwise. Some hosts turn away requests without a user agent."""

OURS = frozenset(
    {"accept-encoding", "connection", "content-length", "expect", "keep-alive", "te", "trailer"}
    | {"transfer-encoding", "upgrade"}
)
"""Headers that say how bytes are framed on a connection: the client's own business."""

OUTSIDE_URL = re.compile(r"[^\x21-\x7e]")
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class Origin(Struct, frozen=True):
    """Who is connected to. For ``unix``, ``host`` is the socket's path."""

    scheme: Literal["http", "https", "unix"]
    host: str
    port: int = 0


class Place(Struct, frozen=True):
    """A URL taken apart: ``authority`` is what the ``host`` header says, ``target`` the request line's middle."""

    origin: Origin
    authority: str
    target: str


def place(url: str) -> Place:
    """Raises ValueError, without the URL in its message, for anything but a plain address of a provider."""
    if OUTSIDE_URL.search(url):  # before urlsplit, which silently drops line ends
        raise ValueError("a provider's URL holds a space, a control character, or one that must be quoted")
    parts = urlsplit(url)
    if parts.fragment or "@" in parts.netloc or not parts.netloc:
        raise ValueError("a provider's URL needs a host, and may hold neither user nor fragment")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme == "http+unix":
        return Place(Origin("unix", _socket_path(parts.netloc)), "localhost", target)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError("a provider's URL begins with http://, https:// or http+unix://")
    port = parts.port or PORTS[parts.scheme]
    scheme: Literal["http", "https"] = "https" if parts.scheme == "https" else "http"
    return Place(Origin(scheme, parts.hostname, port), parts.netloc.lower(), target)


def _socket_path(quoted: str) -> str:
    path = unquote(quoted)
    if "\0" in path:
        raise ValueError("a unix socket's path holds a NUL")
    return path


def headers(endpoint: Endpoint) -> dict[str, str]:
    """The endpoint's own headers over the defaults, names in lower case. Raises ValueError for one we cannot send."""
    close = {} if endpoint.keep_alive else {"connection": "close"}
    return dict(DEFAULTS) | dict(_checked(endpoint)) | close


def _checked(endpoint: Endpoint) -> Iterator[tuple[str, str]]:
    for name, value in endpoint.headers:
        lower = name.lower()
        if not TOKEN.fullmatch(name) or not VALUE.fullmatch(value):
            raise ValueError(f"the header {name!r} for a provider holds a character that headers cannot")
        if lower in OURS:
            raise ValueError(f"the header {name!r} belongs to the connection and cannot be set")
        yield lower, value


def head(endpoint: Endpoint, at: Place, accept_encoding: str) -> bytes:
    """A request up to the number that ``content-length`` still lacks."""
    lines = {"host": at.authority} | headers(endpoint) | {"accept-encoding": accept_encoding}
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {at.target} HTTP/1.1\r\n{text}content-length: ".encode("latin-1")
