"""What ``routing.yaml`` says of an identity provider."""

from ipaddress import ip_address
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures with a public key. ``none`` and shared secrets (HS256) are not among them."""

Name = Annotated[str, Meta(min_length=1, max_length=512)]


class JwtSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An identity provider whose tokens are accepted in place of keys."""

    issuer: Annotated[Name, Meta(description="Who must have issued a token: its claim iss, letter by letter.")]
    audience: Annotated[
        Name | Annotated[tuple[Name, ...], Meta(min_length=1)],
        Meta(description="For whom a token must be meant: one of these must be in its claim aud."),
    ]
    jwks: Annotated[
        Name,
        Meta(
            description="The issuer's public keys (a JWK Set): an https address, or the path of a file, which is read "
            "again when it changes."
        ),
    ]
    algorithms: Annotated[
        tuple[Algorithm, ...], Meta(min_length=1, description="The signatures that are accepted.")
    ] = ("RS256", "ES256", "EdDSA")
    team_claim: Annotated[
        Name,
        Meta(description="The claim that says the team; dots lead into objects, as in realm_access.team."),
    ] = "team"
    teams: Annotated[
        dict[Name, Name] | None,
        Meta(
            description="The claim's values, such as names of groups, and the teams that they stand for. Without it "
            "the value is the team's name."
        ),
    ] = None
    user_claim: Annotated[Name, Meta(description="The claim that says the end user.")] = "sub"
    leeway: Annotated[
        float, Meta(ge=0, le=300, description="Seconds by which the issuer's clock and ours may differ.")
    ] = 30.0

    @property
    def remote(self) -> bool:
        """Whether the keys are fetched."""
        return "://" in self.jwks


def unusable(settings: JwtSettings) -> str | None:
    """What is wrong with the address of the keys, in a sentence; None if nothing is."""
    if not settings.remote:
        return None
    try:
        url = urlsplit(settings.jwks)
        host = url.hostname
        url.port  # noqa: B018 - raises if it is none
    except ValueError:
        return f"jwks: {settings.jwks} is not an address"
    if not host or url.username is not None or url.fragment:
        return f"jwks: {settings.jwks} must be https://host/path, without a user and without '#'"
    if url.scheme == "https" or (url.scheme == "http" and loopback(host)):
        return None
    return f"jwks: {settings.jwks} must begin with https:// (keys that anyone on the way can change prove nothing)"


def loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
