"""The benchmark: what a request costs in the gateway, beside other gateways in the same run.

It looks from outside only (sockets and /proc) and imports nothing of the gateway.
"""


class Problem(Exception):
    """Why no figure can be given, in one line for the person who asked for it."""
