"""``routing.yaml``: typed, checked, and every mistake told with its line. Reads text; opens no file."""

from gateway.config.check import modes_of
from gateway.config.load import load, warnings
from gateway.config.model import (
    BASE_URLS,
    AdapterName,
    Config,
    Defaults,
    Engine,
    ModelConfig,
    ParamDefaults,
    ProviderConfig,
    ServerConfig,
    TargetConfig,
    host,
    key_names,
    legal_model_name,
)
from gateway.config.problems import ConfigError, Problem
from gateway.config.schema import json_schema

__all__ = [
    "BASE_URLS",
    "AdapterName",
    "Config",
    "ConfigError",
    "Defaults",
    "Engine",
    "ModelConfig",
    "ParamDefaults",
    "Problem",
    "ProviderConfig",
    "ServerConfig",
    "TargetConfig",
    "host",
    "json_schema",
    "key_names",
    "legal_model_name",
    "load",
    "modes_of",
    "warnings",
]
