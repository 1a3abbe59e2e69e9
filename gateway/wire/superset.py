"""Errors for callers whose dialect is not known: what they asked was no request, or no route of ours."""

import msgspec

from gateway.errors import GatewayError

TYPES = {401: "authentication_error"}

to_json = msgspec.json.Encoder().encode


def superset(error: GatewayError) -> bytes:
    """A body that clients of every dialect can read: OpenAI's look at ``error``, Lamini's at ``detail``."""
    kind = TYPES.get(error.status, "server_error" if error.status >= 500 else "invalid_request_error")
    detail = {"message": error.message, "type": kind, "param": error.param, "code": error.code}
    return to_json({"error": detail, "detail": error.message})
