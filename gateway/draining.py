"""How a process of the gateway stops, and hears signals: what is under way ends, and nothing is lost.

At the first SIGTERM or Ctrl-C it is unready and lets no call in any more, but still answers: that it is not ready, and
that new calls go elsewhere. What is under way has so many seconds to end; the rest is broken off, so that it cannot be
taken for complete, and is settled like a call whose caller has left. A second signal breaks off at once. With nothing
under way there is nothing to wait for. SIGHUP is for whoever reads the configuration.
"""

import asyncio
import logging
import signal
import socket
from types import FrameType

import uvicorn

from gateway.accepting import Acceptor
from gateway.api import Api

log = logging.getLogger("gateway.serve")

LOOK = 0.02
"""Seconds between two looks at what is still under way."""

SETTLING = 5.0
"""Seconds that calls get to settle once they are broken off."""

CLOSING = 15.0
"""Seconds for all else that is to be brought home: entries of the ledger above all."""


class Server(uvicorn.Server):
    """``seconds`` is how long calls that are under way may go on."""

    def __init__(self, config: uvicorn.Config, seconds: float) -> None:
        super().__init__(config)
        self._seconds = seconds
        self._told = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._hurry = False
        self._acceptors: list[Acceptor] = []

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])  # all but listening
        self._acceptors = [Acceptor(listening, self._protocol) for listening in sockets or []]
        for listening, acceptor in zip(sockets or [], self._acceptors, strict=True):
            listening.listen(self.config.backlog)
            acceptor.open()
        signal.signal(signal.SIGHUP, self._hear_reload)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal to stop. It is not passed on when we have stopped, as uvicorn would: we have done what it wants."""
        self._hurry = self.should_exit
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop)

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self._told.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stop()
        loop = asyncio.get_running_loop()
        end = loop.time() + self._seconds
        if self._under_way() and self._seconds:
            log.info("stopping: what is under way has %g s to end", self._seconds)
        while self._under_way() and not self._hurry and loop.time() < end:  # noqa: ASYNC110 - bytes end without a word
            await asyncio.sleep(LOOK)
        if self._under_way():
            await self._cut()
        for acceptor in self._acceptors:
            acceptor.close()
        for listening in sockets or []:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.transport.close()
        try:
            async with asyncio.timeout(CLOSING):
                await self.lifespan.shutdown()
        except TimeoutError:
            log.error("not everything could be brought home within %g s; the next start goes on with it", CLOSING)

    def _protocol(self) -> asyncio.Protocol:
        config = self.config
        return config.http_protocol_class(  # type: ignore[call-arg]
            config=config, server_state=self.server_state, app_state=self.lifespan.state, _loop=self._loop
        )

    def _stop(self) -> None:
        self._told.set()
        api = self.config.loaded_app
        if isinstance(api, Api):
            api.doorkeeper.stopping = True
        for connection in list(self.server_state.connections):
            cycle = getattr(connection, "cycle", None)
            if cycle is not None and not cycle.response_complete:
                cycle.keep_alive = False

    def _under_way(self) -> bool:
        """Whether something is being answered, here or through another process, or an answer has not left for its
        caller."""
        api = self.config.loaded_app
        if any(not task.done() for task in self.server_state.tasks) or (isinstance(api, Api) and api.shared()):
            return True
        return any(connection.transport.get_write_buffer_size() for connection in self.server_state.connections)

    async def _cut(self) -> None:
        tasks = [task for task in self.server_state.tasks if not task.done()]
        log.warning("stopping: %d calls are broken off", len(tasks))
        api = self.config.loaded_app
        if isinstance(api, Api):
            api.doorkeeper.cutting = True
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=SETTLING)

    def _hear_reload(self, sig: int, frame: FrameType | None) -> None:
        api = self.config.loaded_app
        if self._loop is not None and isinstance(api, Api):
            self._loop.call_soon_threadsafe(api.reload)
