"""Where Redis is, from a URL.

| URL | what |
|---|---|
| ``redis://[user:password@]host[:port][/database]`` | one server |
| ``unix://[user:password@]/path[?db=database]`` | one server, on this machine |
| ``redis+sentinel://[user:password@]host:port,host:port/service[/database]`` | the master that Sentinels name |
| ``redis+cluster://[user:password@]host:port,host:port`` | a Cluster |

With ``rediss`` for ``redis`` it is TLS. What may follow ``?`` is in OPTIONS. Messages never repeat a secret.
"""

from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote

from msgspec import Struct

Kind = Literal["single", "sentinel", "cluster"]
SCHEMES: dict[str, tuple[Kind, bool]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "unix": ("single", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
PORTS: dict[Kind, int] = {"single": 6379, "sentinel": 26379, "cluster": 6379}

FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
TLS = (*FILES, "ssl_check_hostname", "ssl_cert_reqs", "ssl_password")
OPTIONS = ("db", "client_name", "sentinel_username", "sentinel_password", *TLS)


class BadAddress(ValueError):
    """The URL is wrong; the message says what, and what would be right."""


class Address(Struct, frozen=True):
    """``options`` are redis-py's, with secrets in them; ``str`` has none."""

    kind: Kind
    tls: bool
    nodes: tuple[tuple[str, int], ...]
    path: str
    service: str
    options: dict[str, Any]
    sentinel_options: dict[str, Any]

    def __str__(self) -> str:
        where = self.path or ",".join(f"{bracketed(host)}:{port}" for host, port in self.nodes)
        scheme = "unix" if self.path else ("rediss" if self.tls else "redis")
        more = "" if self.kind == "single" else f"+{self.kind}"
        return f"{scheme}{more}://{where}" + (f"/{self.service}" if self.service else "")

    def __repr__(self) -> str:
        return f"Address({self})"


def parse(url: str) -> Address:
    """Raises BadAddress."""
    scheme, colon, rest = url.strip().partition("://")
    scheme = scheme.lower()
    if not colon or scheme not in SCHEMES:
        raise BadAddress(f"a Redis URL begins with one of {', '.join(name + '://' for name in SCHEMES)}")
    if "#" in url:
        raise BadAddress("the Redis URL has a #; in a password it is written %23")
    kind, tls = SCHEMES[scheme]
    before, _, query = rest.partition("?")
    where, slash, path = before.partition("/")  # urllib's way knows one host, and no address in brackets among several
    path = slash + path
    user_info, at, hosts = where.rpartition("@")
    options = credentials(user_info) if at else {}
    options |= query_of(query, kind, tls)
    sentinel_options = {
        name: options.pop("sentinel_" + name) for name in ("username", "password") if "sentinel_" + name in options
    }
    if scheme == "unix":
        if not path.strip("/") or hosts:
            raise BadAddress("unix:// needs the path of a socket: unix:///run/redis/redis.sock")
        return Address(kind, False, (), unquote(path), "", options, {})
    service, database = place_of(path, kind)
    if database:
        if not database.isascii() or not database.isdecimal():
            raise BadAddress("the database in the Redis URL's path is not a number; a / in a password is written %2F")
        options.setdefault("db", int(database))
    if kind == "cluster" and options.get("db"):
        raise BadAddress("a Redis Cluster has only database 0: leave the database away")
    nodes = tuple(node_of(text, PORTS[kind]) for text in hosts.split(","))
    if kind == "single" and len(nodes) > 1:
        raise BadAddress("redis:// takes one host; several are redis+cluster:// or redis+sentinel://")
    return Address(kind, tls, nodes, "", service, options, sentinel_options)


def credentials(user_info: str) -> dict[str, Any]:
    user, _, password = user_info.partition(":")
    found = {"username": unquote(user), "password": unquote(password)}
    return {name: value for name, value in found.items() if value}


def query_of(query: str, kind: Kind, tls: bool) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in OPTIONS:
            raise BadAddress(f"the Redis URL has an unknown option; there are {', '.join(OPTIONS)}")
        if name in TLS and not tls:
            raise BadAddress(f"{name} in the Redis URL is for TLS: begin it with rediss")
        if name.startswith("sentinel_") and kind != "sentinel":
            raise BadAddress(f"{name} in the Redis URL is for redis+sentinel://")
        if name in FILES and not Path(value).is_file():
            raise BadAddress(f"{name} in the Redis URL names a file that is not there")
        if name == "ssl_cert_reqs" and value not in ("required", "optional", "none"):
            raise BadAddress("ssl_cert_reqs in the Redis URL is required, optional or none")
        if name == "ssl_check_hostname" and value.lower() not in ("true", "false"):
            raise BadAddress("ssl_check_hostname in the Redis URL is true or false")
        if name == "db" and not (value.isascii() and value.isdecimal()):
            raise BadAddress("db in the Redis URL is not a number")
        options[name] = int(value) if name == "db" else value
    if "ssl_check_hostname" in options:
        options["ssl_check_hostname"] = options["ssl_check_hostname"].lower() == "true"
    elif options.get("ssl_cert_reqs") == "none":
        options["ssl_check_hostname"] = False
    return options


def place_of(path: str, kind: Kind) -> tuple[str, str]:
    """The service and the database."""
    steps = [unquote(step) for step in path.split("/") if step]
    if kind != "sentinel":
        if len(steps) > 1:
            raise BadAddress("the Redis URL's path is a database, one number; a / in a password is written %2F")
        return "", steps[0] if steps else ""
    if not 1 <= len(steps) <= 2:
        raise BadAddress("redis+sentinel:// needs the service that the Sentinels watch: redis+sentinel://host/service")
    return steps[0], steps[1] if len(steps) == 2 else ""


def node_of(text: str, default: int) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = text, str(default)
    bare = host.removeprefix("[").removesuffix("]")
    if "[" in bare or "]" in bare or host.startswith("[") != host.endswith("]"):
        raise BadAddress("the Redis URL has brackets that do not fit; an IPv6 address is written [::1]")
    if not bare:
        raise BadAddress("the Redis URL has no host: redis://host:6379")
    if ":" in bare and bare == host:
        raise BadAddress("the Redis URL's host has a colon; an IPv6 address is written [::1], a password ends with @")
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise BadAddress("a port in the Redis URL is not a number of 1 to 65535; a : or @ in a password is %3A or %40")
    return unquote(bare), int(port)


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
