"""A JWK Set (RFC 7517): which of its keys may have signed a token.

A key serves the algorithms of its own kind only, whatever a token's header says; keys that are secrets, too small, or
meant for something else are left out.
"""

from importlib import import_module
from typing import Any

import msgspec
from msgspec import Struct

from gateway.bearer.types import BearerError

MOST_BYTES = 1 << 20
MOST_KEYS = 256
SMALLEST_RSA = 2048  # bits, RFC 7518 section 3.3

PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})
"""Members of a private key, which has no place in a public set; what else it holds is its public one."""

KINDS = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", None),
}
"""The kind of key and the curve that an algorithm takes."""


class Jwk(Struct):
    """What is read of a key."""

    kty: str = ""
    kid: str | None = None
    use: str | None = None
    alg: str | None = None
    crv: str | None = None
    key_ops: list[str] | None = None


class Document(Struct):
    keys: list[msgspec.Raw]


class Key(Struct, frozen=True):
    """A public key, and the algorithms that it may be used with."""

    kid: str | None
    algorithms: frozenset[str]
    key: Any


class BadKeys(Exception):
    """What was to be a JWK Set is none, or holds no key that can be used. The message says which."""


decode_document = msgspec.json.Decoder(Document).decode
decode_key = msgspec.json.Decoder(Jwk).decode
decode_any = msgspec.json.Decoder(dict[str, Any]).decode


def parse(data: bytes) -> tuple[Key, ...]:
    """The keys that can verify. Raises BadKeys."""
    if len(data) > MOST_BYTES:
        raise BadKeys(f"the JWK Set is larger than {MOST_BYTES >> 20} MB")
    try:
        entries = decode_document(data).keys
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise BadKeys('the JWK Set is not of the form {"keys": [...]}') from exc
    if len(entries) > MOST_KEYS:
        raise BadKeys(f"the JWK Set has {len(entries)} keys; at most {MOST_KEYS} are read")
    keys = tuple([key for entry in entries if (key := usable(bytes(entry))) is not None])
    if not keys:
        raise BadKeys("the JWK Set has no public key that can verify signatures")
    return keys


def usable(entry: bytes) -> Key | None:
    jwt = import_module("jwt")
    try:
        jwk = decode_key(entry)
        algorithms = {name for name, kind in KINDS.items() if fits(jwk, *kind) and jwk.alg in (None, name)}
        if not algorithms or jwk.use not in (None, "sig") or "verify" not in (jwk.key_ops or ("verify",)):
            return None
        public = {name: value for name, value in decode_any(entry).items() if name not in PRIVATE}
        key = jwt.PyJWK(public, algorithm=min(algorithms)).key
    except (msgspec.MsgspecError, jwt.PyJWTError, ValueError, TypeError, UnicodeDecodeError):
        return None
    if jwk.kty == "RSA" and key.key_size < SMALLEST_RSA:
        return None
    return Key(jwk.kid, frozenset(algorithms), key)


def fits(jwk: Jwk, kind: str, curve: str | None) -> bool:
    return jwk.kty == kind and curve in (None, jwk.crv)


def candidates(keys: tuple[Key, ...], kid: str | None, algorithm: str) -> tuple[Key, ...]:
    """The keys that may have signed: those of the name, or the only one of the kind where none is named."""
    named = tuple([key for key in keys if algorithm in key.algorithms and kid in (None, key.kid)])
    if kid is None and len(named) > 1:
        raise BearerError("key", "the token does not say which key signed it (no kid), and the issuer has several")
    return named
