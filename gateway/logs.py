"""Where log lines go, and how they look: the same in every process of the gateway."""

import logging
import sys

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

QUIET = ("httpx", "alembic")
"""Who would log a line for each call, with its address, or for each step."""


def to_stderr() -> None:
    """Does nothing where logging is set up already."""
    logging.basicConfig(level=logging.INFO, format=FORMAT, stream=sys.stderr)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
