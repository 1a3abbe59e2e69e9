"""What holds for every test: no network beyond this machine, and nothing inherited from whoever runs them."""

import gc
import ipaddress
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvloop
from hypothesis import settings

from tests.provider import Provider

# ------------------------------------------------------------------ no network
#
# An audit hook sees every connect of every socket in the process, also those made in threads and while
# modules are imported; a monkeypatched socket class does not. It cannot be taken off again, so it is on
# from here to the end. It raises an OSError, so that clients still close their sockets and behave as they
# would towards a dead host.


def _is_here(host: str) -> bool:
    if host in ("", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback or address.is_unspecified


def _refuse_connect(address: object) -> None:
    """An Internet address begins with its host; a Unix socket's is a path; None goes where it went before."""
    if isinstance(address, tuple) and not _is_here(str(address[0])):
        raise OSError(f"tests may not connect to {address[0]} port {address[1]}: only to this machine")


def _refuse_lookup(host: object) -> None:
    """A name that is not ours would be asked of a DNS server. As an error of lookup, which is what it is."""
    name = host.decode() if isinstance(host, bytes) else host
    if not isinstance(name, str) or _is_here(name):
        return
    try:
        ipaddress.ip_address(name.partition("%")[0])  # a literal asks nobody; connecting to it is refused
    except ValueError:
        raise socket.gaierror(socket.EAI_NONAME, f"tests may not look up {name!r}") from None


_GUARDED: dict[str, tuple[Callable[[object], None], int]] = {  # audit event: the check, the argument it reads
    "socket.connect": (_refuse_connect, 1),
    "socket.sendto": (_refuse_connect, 1),
    "socket.sendmsg": (_refuse_connect, 1),
    "socket.getaddrinfo": (_refuse_lookup, 0),
    "socket.gethostbyname": (_refuse_lookup, 0),
}


def _guard(event: str, args: tuple[Any, ...], guarded: Any = _GUARDED) -> None:  # bound: it outlives this module
    if event in guarded:
        check, position = guarded[event]
        check(args[position])


sys.addaudithook(_guard)


# uvloop's sockets are libuv's, which no audit hook sees; but its Loop is a Python class, and these are the
# methods that reach out without a Python socket.

_connection = uvloop.Loop.create_connection
_datagrams = uvloop.Loop.create_datagram_endpoint
_lookup = uvloop.Loop.getaddrinfo


async def _create_connection(loop: Any, factory: Any, host: Any = None, port: Any = None, **kw: Any) -> Any:
    _refuse_lookup(host)
    _refuse_connect((host or "", port))
    return await _connection(loop, factory, host, port, **kw)


async def _create_datagram_endpoint(
    loop: Any, factory: Any, local_addr: Any = None, remote_addr: Any = None, **kw: Any
) -> Any:
    _refuse_connect(remote_addr)
    return await _datagrams(loop, factory, local_addr, remote_addr, **kw)


async def _getaddrinfo(loop: Any, host: Any, port: Any, **kw: Any) -> Any:
    _refuse_lookup(host)
    return await _lookup(loop, host, port, **kw)


for _method in (_create_connection, _create_datagram_endpoint, _getaddrinfo):
    setattr(uvloop.Loop, _method.__name__.removeprefix("_"), _method)


# ------------------------------------------------------------------ nothing inherited
#
# The shell that runs the tests may have a proxy, real provider keys or a gateway's settings in it.

for _name in list(os.environ):
    if _name.lower().endswith("_proxy") or _name.startswith("GATEWAY_") or _name.endswith("_API_KEY"):
        del os.environ[_name]

# In CI the same examples each time: a red build is then about the change it shows. At home, new ones.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("home", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "home")

# ------------------------------------------------------------------ what many tests need


def pytest_collection_finish() -> None:
    """Thousands of tests are there to the end: the collector of garbage need not look at them again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    """A provider that plays, on a port of its own."""
    playing = Provider()
    await playing.start()
    yield playing
    await playing.close()
