"""How limits are told to callers: headers in OpenAI's names, and errors that say which limit binds and until when.

Names and forms of ``x-ratelimit-*``: https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
"""

import math

from gateway.errors import Exhausted, GatewayError, OverLimit
from gateway.headers import Head, lines_of
from gateway.limits.types import NANO, Granted, Kind, Refused, Standing, Subject

UNITS: dict[Kind, str] = {
    "requests/min": "requests per minute",
    "tokens/min": "tokens per minute",
    "tokens/day": "tokens per day",
    "concurrent": "requests at the same time",
    "USD/day": "per day",
    "USD/month": "per month",
}
REQUESTS = b"x-ratelimit-limit-requests: %d\r\nx-ratelimit-remaining-requests: %d\r\nx-ratelimit-reset-requests: %b\r\n"
TOKENS = b"x-ratelimit-limit-tokens: %d\r\nx-ratelimit-remaining-tokens: %d\r\nx-ratelimit-reset-tokens: %b\r\n"
NEXT: dict[Kind, str] = {"USD/day": "tomorrow", "tokens/day": "tomorrow", "USD/month": "next month"}


def told(verdict: Granted | Refused) -> Head:
    """The limits that bind, and soft budgets that are passed."""
    head, requests, tokens = b"", verdict.requests, verdict.tokens
    if requests is not None:
        reset = b"1m0s" if requests.reset == 60 else duration(requests.reset)
        head = REQUESTS % (requests.limit, requests.remaining, reset)
    if tokens is not None:
        reset = b"1m0s" if tokens.reset == 60 else duration(tokens.reset)
        head += TOKENS % (tokens.limit, tokens.remaining, reset)
    if isinstance(verdict, Granted) and verdict.soft:
        passed = "; ".join(
            [f"{name(soft.subject)} has passed {amount(soft.kind, soft.limit)}" for soft in verdict.soft]
        )
        head += b"x-gateway-budget-warning: %b\r\n" % passed.encode("ascii", "replace")
    if verdict.degraded:
        head += b"x-gateway-degraded: limits\r\n"
    return head


def duration(seconds: float) -> bytes:
    """As OpenAI writes it: ``250ms``, ``7.66s``, ``6m0s``, ``23h59m1s``."""
    if seconds < 1:
        return b"%dms" % math.ceil(seconds * 1000)
    if seconds < 60:
        return f"{math.ceil(seconds * 100) / 100:g}s".encode()
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return b"%dh%dm%ds" % (hours, minutes, rest) if hours else b"%dm%ds" % (minutes, rest)


def refusal(verdict: Refused, wish: str) -> GatewayError:
    """Why a call is not let in. ``wish`` says what it may use."""
    state = verdict.standing
    who, most = name(state.subject), amount(state.kind, state.limit)
    error: GatewayError
    if state.kind in ("USD/day", "USD/month"):
        left = f"{dollars(state.remaining)} of {most} are left"
        error = Exhausted(
            f"the budget of {who} has no room for this call: {left}, and it may cost {wish}"
            f" (a smaller max_tokens makes it cheaper; the next {state.kind.removeprefix('USD/')} begins in "
            f"{duration(state.reset).decode()})"
        )
    else:
        error = OverLimit(over_limit(verdict, who, most, wish))
        error.kind = "tokens" if state.kind.startswith("tokens") else "requests"
        error.retry_after = verdict.wait
        error.final = verdict.wait is None
    error.headers = [*lines_of(told(verdict)), (b"x-ratelimit-scope", state.subject.scope.encode()), limit_line(state)]
    if verdict.wait is not None:
        error.headers.append((b"retry-after-ms", b"%d" % math.ceil(verdict.wait * 1000)))
    return error


def over_limit(verdict: Refused, who: str, most: str, wish: str) -> str:
    state = verdict.standing
    if verdict.never:
        return f"this call may use {wish}, and {who} is never let more than {most}: ask for less at once"
    if state.kind == "concurrent":
        return f"{who} has {most} under way already, which is all it may have"
    if verdict.wait is None:
        return (
            f"{who} has {state.remaining} of its {most} left, and this call may use {wish}; the next day begins in "
            f"{duration(state.reset).decode()}"
        )
    return (
        f"{who} has {state.remaining} of its {most} left, and this call may use {wish}; "
        f"try again in {duration(verdict.wait).decode()}"
    )


def limit_line(state: Standing) -> tuple[bytes, bytes]:
    return (b"x-gateway-limit", state.kind.encode())


def name(subject: Subject) -> str:
    if subject.scope == "organisation":
        return "the organisation"
    if subject.scope == "user":
        team, _, user = subject.name.partition("/")
        return f"user '{user}' of team '{team}'"
    return f"{subject.scope} '{subject.name}'"


def amount(kind: Kind, limit: int) -> str:
    return f"{dollars(limit)} {UNITS[kind]}" if kind.startswith("USD") else f"{limit:,} {UNITS[kind]}"


def dollars(nano: int) -> str:
    """Exact, with two digits at least: ``$12.50``, ``$0.000031``."""
    whole, rest = divmod(nano, NANO)
    digits = f"{rest:09d}".rstrip("0")
    return f"${whole:,}.{digits:0<2}"
