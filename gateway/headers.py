"""Header lines: one by one, as ASGI has them, or joined, as they are sent. A whole answer carries a dozen, which costs
half as much where nobody takes them apart in between."""

HeaderLines = list[tuple[bytes, bytes]]

Head = bytes
"""Lines as they are sent, each with its end."""


def joined(lines: HeaderLines) -> Head:
    return b"".join([b"%b: %b\r\n" % line for line in lines])


def lines_of(head: Head) -> HeaderLines:
    parts = [line.partition(b": ") for line in head.split(b"\r\n")[:-1]]
    return [(name, value) for name, _, value in parts]
