"""The gateway's own description, in OpenAPI 3.1: https://spec.openapis.org/oas/v3.1.0. Made once, from tables."""

from typing import Any

import msgspec

from gateway import __version__
from gateway.openapi import admin, answers, requests
from gateway.openapi.routes import OPERATIONS

INTRODUCTION = (
    "One endpoint for all of an organisation's language models. Fields that are not described here go to the provider "
    "as they are, where a route's own API has such fields, or are refused by name."
)

KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "A team's key (sk-gw-...), or a token of the identity provider that the gateway trusts, if it does.",
}

to_json = msgspec.json.Encoder().encode


def document() -> bytes:
    """The document as JSON."""
    return to_json(described())


def described() -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for operation in (*OPERATIONS, *admin.OPERATIONS):
        paths.setdefault(operation.path, {})[operation.method] = operation.document()
    return {
        "openapi": "3.1.0",
        "info": {"title": "LLM gateway", "version": __version__, "description": INTRODUCTION},
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": {**requests.components(), **answers.components(), **admin.components()},
            "securitySchemes": {"key": KEY, "admin": admin.SECURITY},
        },
    }
