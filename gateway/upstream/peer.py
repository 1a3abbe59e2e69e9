"""What a connection's socket can tell about the other side, beyond what event loops report."""

import asyncio
import select
import ssl


def stirring(transport: asyncio.Transport) -> bool:
    """Whether something has arrived that the event loop has not come to: the peer's farewell, or worse."""
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))


def said_goodbye(transport: asyncio.Transport) -> bool:
    """Whether a connection that has ended was ended by its peer: with TLS, anyone on the way could have, and asyncio
    does not tell. After a proper end there is nothing to read; after another, reading fails."""
    connection: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if connection is None:
        return True
    try:
        return not connection.read(1)
    except ssl.SSLError:
        return False
