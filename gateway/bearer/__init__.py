"""Bearer tokens of an identity provider (JWT, RFC 7519; OpenID Connect) in place of the gateway's own keys."""

from gateway.bearer.settings import JwtSettings, unusable
from gateway.bearer.types import BearerError, Identity
from gateway.bearer.verifier import Verifier

__all__ = ["BearerError", "Identity", "JwtSettings", "Verifier", "unusable"]
