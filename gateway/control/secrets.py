"""Keys as they are made: a public part, which may be shown and logged, and 256 bits that are told once."""

import secrets
import string
from hashlib import sha256

ALPHABET = string.ascii_letters + string.digits

KEY = "sk-gw"
ADMIN = "ak-gw"


def new_secret(kind: str, public: str) -> str:
    return f"{kind}-{public}-{secrets.token_urlsafe(32)}"


def new_public() -> str:
    """Twelve characters; two are the same once in 10^21 pairs."""
    return "".join(secrets.choice(ALPHABET) for _ in range(12))


def digest_of(secret: str) -> str:
    """All that is kept of a key, in hex."""
    return sha256(secret.encode()).hexdigest()
