"""Which client speaks to which provider."""

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from gateway.upstream.http1 import LeanClient
from gateway.upstream.types import Limits, Upstream


def _httpx(limits: Limits) -> Upstream:
    from gateway.upstream.via_httpx import HttpxClient  # a tenth of a second that few need to spend

    return HttpxClient(limits)


CLIENTS: dict[str, Callable[[Limits], Upstream]] = {"http1": LeanClient, "httpx": _httpx}


def choose(name: str | None, environ: Mapping[str, str], url: str) -> str:
    """The name in ``CLIENTS``: what the configuration says, else httpx where a proxy stands between, else http1."""
    if name is not None:
        if name not in CLIENTS:
            raise ValueError(f"no client {name!r} (known: {', '.join(CLIENTS)})")
        return name
    return "httpx" if _proxied(environ, url) else "http1"


def _proxied(environ: Mapping[str, str], url: str) -> bool:
    """Unix sockets never are; else as the usual variables say, the lower case spelling first."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return False
    if not _variable(environ, f"{parts.scheme}_proxy") and not _variable(environ, "all_proxy"):
        return False
    return not _bypassed(_variable(environ, "no_proxy"), parts.hostname or "", parts.netloc.lower())


def _bypassed(no_proxy: str, host: str, authority: str) -> bool:
    """``*``, or names of hosts, each with or without a port, that stand for themselves and all below them."""
    for entry in no_proxy.lower().split(","):
        name = entry.strip().removeprefix("*").removeprefix(".")
        if entry.strip() == "*" or (name and any(x == name or x.endswith("." + name) for x in (host, authority))):
            return True
    return False


def _variable(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, environ.get(name.upper(), ""))
