"""How a worker takes new connections: many at each turn of its event loop, from a socket that other workers share.

uvloop's own servers take one at a turn. Among some hundred calls at each turn, whoever comes new would then wait for
seconds in the kernel, where nobody sees them, while the others are served.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.turns import at_once

log = logging.getLogger("gateway.serve")

MOST = 64
"""Connections that are taken at one turn of the event loop: some milliseconds."""

PAUSE = 1.0
"""Seconds in which none is taken after one could not be."""

SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""There is no more of what a connection needs. Those who knock stay where they are, and others may take them."""


class Acceptor:
    """Takes connections from ``listening``, which must not block, from ``open`` until ``close``. ``make`` makes the
    protocol of each. The socket stays its owner's."""

    def __init__(self, listening: socket.socket, make: Callable[[], asyncio.Protocol]) -> None:
        self._loop = asyncio.get_running_loop()
        self._listening = listening
        self._make = make
        self._pause: asyncio.TimerHandle | None = None

    def open(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listening, self._take)

    def close(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listening)

    def _take(self) -> None:
        for _ in range(MOST):
            try:
                connection, _ = self._listening.accept()
            except BlockingIOError:  # there is no other, or another worker has taken it
                return
            except OSError as error:
                if error.errno in SHORT:
                    self._wait(error)
                    return
                continue  # it has gone while it waited
            self._begin(self._loop.connect_accepted_socket(self._make, connection))

    def _begin(self, connecting: Coroutine[Any, Any, object]) -> None:
        """What a task would do, for a third of what a new connection costs, and a turn of the loop sooner."""
        made: asyncio.Future[object] = connecting.send(None)
        made.add_done_callback(lambda _: at_once(connecting))

    def _wait(self, error: OSError) -> None:
        log.error("no connection can be taken for %g s: %s", PAUSE, error)
        self._loop.remove_reader(self._listening)
        self._pause = self._loop.call_later(PAUSE, self.open)
