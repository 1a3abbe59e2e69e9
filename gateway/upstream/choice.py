"""Which client speaks to which provider."""

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from gateway.upstream.http1 import LeanClient
from gateway.upstream.types import Limits, Upstream


class Way(Struct, frozen=True):
    """How a provider is reached: which client, whom its certificate is checked by (a PEM file; None: whom the system
    trusts), and through which proxy."""

    client: str
    ca_file: str | None = None
    proxy: str | None = None


def way(name: str | None, environ: Mapping[str, str], url: str, ca_file: str | None = None) -> Way:
    """The way to a provider's address, as the configuration and the environment say."""
    client = choose(name, environ, url)
    return Way(client, ca_file, _proxy(environ, url) if client == "httpx" else None)


def _lean(way: Way, limits: Limits) -> Upstream:
    return LeanClient(limits, ca_file=way.ca_file)


def _httpx(way: Way, limits: Limits) -> Upstream:
    from gateway.upstream.via_httpx import HttpxClient  # a tenth of a second that few need to spend

    return HttpxClient(limits, ca_file=way.ca_file, proxy=way.proxy, trust_env=False)


CLIENTS: dict[str, Callable[[Way, Limits], Upstream]] = {"http1": _lean, "httpx": _httpx}


def choose(name: str | None, environ: Mapping[str, str], url: str) -> str:
    """The name in ``CLIENTS``: what the configuration says, else httpx where a proxy stands between, else http1."""
    if name is not None:
        if name not in CLIENTS:
            raise ValueError(f"no client {name!r} (known: {', '.join(CLIENTS)})")
        return name
    return "httpx" if _proxy(environ, url) else "http1"


def _proxy(environ: Mapping[str, str], url: str) -> str | None:
    """The proxy for an address, as the usual variables say, the lower case spelling first. Unix sockets have none."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return None
    proxy = _variable(environ, f"{parts.scheme}_proxy") or _variable(environ, "all_proxy")
    if not proxy or _bypassed(_variable(environ, "no_proxy"), parts.hostname or "", parts.netloc.lower()):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _bypassed(no_proxy: str, host: str, authority: str) -> bool:
    """``*``, or names of hosts, each with or without a port, that stand for themselves and all below them."""
    for entry in no_proxy.lower().split(","):
        name = entry.strip().removeprefix("*").removeprefix(".")
        if entry.strip() == "*" or (name and any(x == name or x.endswith("." + name) for x in (host, authority))):
            return True
    return False


def _variable(environ: Mapping[str, str], name: str) -> str:
    return environ.get(name, environ.get(name.upper(), ""))
