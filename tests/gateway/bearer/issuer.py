"""An identity provider for tests: keys, a JWK Set, and tokens signed with them or against the rules."""

from base64 import urlsafe_b64encode
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

NOW = 1_800_000_000.0
ISSUER, AUDIENCE = "https://id.example.org/", "gateway"

RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
SMALL_RSA = rsa.generate_private_key(65537, 1024)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()


def jwk(private: Any, kid: str | None = None, **more: Any) -> dict[str, Any]:
    makers = ((rsa.RSAPrivateKey, RSAAlgorithm), (ec.EllipticCurvePrivateKey, ECAlgorithm))
    maker: Any = next((maker for kind, maker in makers if isinstance(private, kind)), OKPAlgorithm)
    found: dict[str, Any] = maker.to_jwk(private.public_key(), as_dict=True)
    found.pop("key_ops", None)
    return {**found, **({} if kid is None else {"kid": kid}), **more}


def jwks(*keys: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"keys": keys})


def claims(**more: Any) -> dict[str, Any]:
    """Good ones; None takes one away."""
    usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "anna", "team": "red", "exp": NOW + 60, "iat": NOW}
    return {name: value for name, value in {**usual, **more}.items() if value is not None}


def token(
    said: dict[str, Any] | None = None, key: Any = RSA, algorithm: str = "RS256", kid: str | None = "r", **header: Any
) -> bytes:
    payload = msgspec.json.encode(claims() if said is None else said)
    head = {**header, **({} if kid is None else {"kid": kid})}
    return jwt.PyJWS().encode(payload, key, algorithm=algorithm, headers=head).encode()


def by_hand(header: dict[str, Any], said: dict[str, Any], signature: bytes) -> bytes:
    parts = (msgspec.json.encode(header), msgspec.json.encode(said), signature)
    return b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in parts)
