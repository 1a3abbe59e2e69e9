"""A token's parts, and what must be true of them (RFC 7519, RFC 8725). Pure: keys and time are given."""

import re
from base64 import urlsafe_b64decode
from importlib import import_module
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from gateway.bearer.keyset import Key
from gateway.bearer.settings import JwtSettings
from gateway.bearer.types import BearerError, Identity

LONGEST = 16 * 1024
"""Bytes of a token; those of identity providers have one or two thousand."""

LONGEST_NAME = 256
LATEST = 2**53
FORM = re.compile(rb"([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
TYPES = (None, "jwt", "at+jwt", "application/at+jwt")


class Header(Struct):
    """What is read of a token's head. Where it says that a key is to be had (``jku``, ``x5u``, ``jwk``, ``x5c``) is
    never read."""

    alg: str
    kid: str | None = None
    typ: str | None = None
    crit: Any = UNSET
    b64: bool | UnsetType = UNSET


decode_header = msgspec.json.Decoder(Header).decode
decode_claims = msgspec.json.Decoder(dict[str, Any]).decode


def header_of(token: bytes, settings: JwtSettings) -> Header:
    """The head of a token that may be looked at further. Raises BearerError."""
    if len(token) > LONGEST:
        raise BearerError("malformed", f"the token is longer than {LONGEST >> 10} kB")
    form = FORM.fullmatch(token)
    if form is None:
        raise BearerError("malformed", "the bearer token is neither a known key nor a signed JWT")
    try:
        header = decode_header(urlsafe_b64decode(form[1] + b"=" * (-len(form[1]) % 4)))
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise BearerError("malformed", "the token's header is not that of a JWT") from exc
    if header.alg not in settings.algorithms:
        raise BearerError("algorithm", f"the token's algorithm is not accepted: use {', '.join(settings.algorithms)}")
    if header.crit is not UNSET or header.b64 is False:
        raise BearerError("malformed", "the token's header asks for an extension (crit), and none is known here")
    if header.typ is not None and header.typ.lower() not in TYPES:
        raise BearerError("malformed", "the token's type (typ) is not that of a JWT or an access token")
    return header


def verified(token: bytes, header: Header, keys: tuple[Key, ...]) -> dict[str, Any]:
    """The claims, if one of these keys has signed them. Raises BearerError."""
    jwt = import_module("jwt")
    for key in keys:
        try:
            payload = jwt.PyJWS().decode(token, key.key, algorithms=[header.alg])
            return decode_claims(payload)
        except jwt.InvalidSignatureError:
            continue
        except (jwt.PyJWTError, msgspec.MsgspecError, ValueError, TypeError, RecursionError) as exc:
            raise BearerError("malformed", "the token is not a JWT: its claims cannot be read") from exc
    raise BearerError("signature", "the token's signature is wrong")


def identity(claims: dict[str, Any], settings: JwtSettings, now: float) -> Identity:
    """Who is asking. ``now`` is in seconds since 1970. Raises BearerError."""
    expires = moment(claims, "exp")
    if expires is None:
        raise BearerError("claim", "the token has no claim exp: one that never expires is not accepted")
    if now >= expires + settings.leeway:
        raise BearerError("expired", "the token has expired")
    for name in ("nbf", "iat"):
        begins = moment(claims, name)
        if begins is not None and begins > now + settings.leeway:
            raise BearerError("not_yet", f"the token is not valid yet: its claim {name} lies in the future")
    if claims.get("iss") != settings.issuer:
        raise BearerError("issuer", "the token is from another issuer (claim iss)")
    check_audience(claims.get("aud"), settings)
    user = named(settings.user_claim, at(claims, settings.user_claim))
    return Identity(team_of(claims, settings), user, expires + settings.leeway)


def moment(claims: dict[str, Any], name: str) -> float | None:
    """A claim that is a time; None if it is not there."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LATEST:
        raise BearerError("claim", f"the token's claim {name} is not a time in seconds")
    return float(value)


def check_audience(said: Any, settings: JwtSettings) -> None:
    wanted = (settings.audience,) if isinstance(settings.audience, str) else settings.audience
    found = [said] if isinstance(said, str) else said
    if not isinstance(found, list) or not any(name in wanted for name in found if isinstance(name, str)):
        raise BearerError("audience", "the token is meant for others (claim aud)")


def team_of(claims: dict[str, Any], settings: JwtSettings) -> str:
    """The one team that the claim's value, or one of its values, stands for."""
    value, name, teams = at(claims, settings.team_claim), settings.team_claim, settings.teams
    if teams is None:
        return named(name, value[0] if isinstance(value, list) and len(value) == 1 else value)
    values = [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]
    found = {teams[item] for item in values if item in teams}
    if not found:
        raise BearerError("claim", f"the token's claim {name} stands for no team here")
    if len(found) > 1:
        raise BearerError("claim", f"the token's claim {name} stands for {len(found)} teams: it must be one")
    return found.pop()


def at(claims: dict[str, Any], path: str) -> Any:
    """A claim by its whole name, which may hold dots itself, or else by the way that dots describe."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for step in path.split("."):
        if not isinstance(value, dict) or step not in value:
            raise BearerError("claim", f"the token has no claim {path}")
        value = value[step]
    return value


def named(claim: str, value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME or not value.isprintable():
        raise BearerError(
            "claim", f"the token's claim {claim} is not a name of 1 to {LONGEST_NAME} printable characters"
        )
    return value
