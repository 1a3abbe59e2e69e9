"""Who comes new is not kept waiting by those who are served."""

import asyncio
import socket

import uvicorn
import uvloop

from gateway.draining import DOORS, Server

COMING = 4 * DOORS


async def nothing(scope: object, receive: object, send: object) -> None: ...


def test_several_new_connections_are_taken_at_each_turn() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(turns_until_all_are_in()) <= COMING / 2


async def turns_until_all_are_in() -> int:
    with socket.create_server(("127.0.0.1", 0), backlog=COMING) as listening:
        config = uvicorn.Config(nothing, lifespan="off", log_level="error")
        config.load()
        server = Server(config, 0)
        server.lifespan = config.lifespan_class(config)
        await server.startup([listening])
        clients = [socket.create_connection(listening.getsockname()) for _ in range(COMING)]
        turns = 0
        while len(server.server_state.connections) < COMING:
            await asyncio.sleep(0)
            turns += 1
        await server.shutdown([listening])
        for client in clients:
            client.close()
        assert all(door.fileno() == -1 for door in server._doors)
        return turns
