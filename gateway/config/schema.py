"""The JSON schema by which editors complete and check ``routing.yaml``."""

import msgspec

from gateway.config.model import Config

HEADER = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "routing.yaml"}


def json_schema() -> bytes:
    """The same bytes for the same types: ``deploy/routing.schema.json`` holds them."""
    schema = HEADER | msgspec.json.schema(Config)
    return msgspec.json.format(msgspec.json.encode(schema), indent=2) + b"\n"
