"""The ``routing.yaml`` that is shipped: correct, complete, and what the schema takes."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from gateway.config import Config, json_schema, load, modes_of
from gateway.config.model import ParamDefaults

ROOT = Path(__file__).parent.parent.parent
FILE = ROOT / "routing.yaml"
SCHEMA = ROOT / "deploy" / "routing.schema.json"
MAKE_SCHEMA = "import gateway.config as c, sys; sys.stdout.buffer.write(c.json_schema())"

CHAT = [
    "llama-2-70b-chat",
    "llama-2-13b-chat",
    "llama-2-7b-chat",
    "gpt-4",
    "gpt-4-0613",
    "gpt-4-0314",
    "gpt-4-32k",
    "gpt-4-32k-0613",
    "gpt-4-32k-0314",
    "gpt-3.5-turbo",
    "gpt-3.5-turbo-0613",
    "gpt-3.5-turbo-0301",
    "gpt-3.5-turbo-16k",
    "gpt-3.5-turbo-16k-0613",
    "cohere-command",
    "cohere-command-light",
    "cohere-command-nightly",
]
RAW = ["llama-2-70b", "llama-2-7b", "text-davinci-003", "text-davinci-002", "text-davinci-001"]

SWITCHED_OFF = {
    ("openai", "gpt-3.5-turbo-instruct"),  # 2026-09-28
    ("openai", "gpt-4"),  # 2026-10-23
    ("openai", "gpt-3.5-turbo"),
    ("groq", "llama-3.3-70b-versatile"),  # 2026-08-16
    ("cohere", "command"),  # 2025-09-15
}


@pytest.fixture(scope="module")
def config() -> Config:
    return load(FILE.read_bytes(), FILE.name)


def modes(config: Config, name: str) -> set[str]:
    """How the targets of a model are asked, by its name or an alias."""
    targets = config.models[config.aliases.get(name, name)].targets
    return {target.mode or modes_of(config.providers[target.provider])[0] for target in targets}


@pytest.mark.parametrize("name", CHAT)
def test_chat_models_are_asked_to_chat(config: Config, name: str) -> None:
    assert modes(config, name) == {"chat"}


@pytest.mark.parametrize("name", RAW)
def test_base_models_get_the_bare_text(config: Config, name: str) -> None:
    assert modes(config, name) == {"completion"}


def test_every_name_is_there_once(config: Config) -> None:
    assert len(CHAT + RAW) == 22
    assert set(config.aliases) == set(CHAT + RAW)


def test_no_target_is_a_model_that_was_switched_off(config: Config) -> None:
    targets = {(target.provider, target.model) for model in config.models.values() for target in model.targets}
    assert targets & SWITCHED_OFF == set()


def test_the_demo_works_without_a_key(config: Config) -> None:
    assert config.defaults.model == "demo"
    demo = config.providers["demo"]
    assert (demo.embedded, demo.engine, demo.key_env, demo.concurrency, demo.queue) == (
        True,
        "llama.cpp",
        None,
        4,
        64,
    )
    assert config.models["demo"].defaults == ParamDefaults(temperature=0, max_tokens=200)
    assert config.models["demo-creative"].defaults == ParamDefaults(temperature=0.8, max_tokens=200)
    assert config.models["demo"].targets == config.models["demo-creative"].targets


def test_every_provider_but_the_demo_needs_its_key(config: Config) -> None:
    assert {name: provider.key_env for name, provider in config.providers.items()} == {
        "demo": None,
        "openai": "OPENAI_API_KEY",
        "cohere": "COHERE_API_KEY",
        "together": "TOGETHER_API_KEY",
        "groq": "GROQ_API_KEY",
        "fireworks": "FIREWORKS_API_KEY",
        "deepinfra": "DEEPINFRA_API_KEY",
        "openrouter": "OPENROUTER_API_KEY",
    }


def test_the_commented_examples_are_correct_too() -> None:
    """With the comment signs of its examples taken off, the file is still one that loads."""
    example = re.compile(r"^( +)# (?=( *[a-z_-]+:( |$)| *- \{))", re.M)
    text = example.sub(r"\1", FILE.read_text())
    config = load(text)
    assert {"gpu", "azure"} <= set(config.providers)
    assert config.models["llama-base"].targets[0].provider == "gpu"
    assert config.defaults.max_models == 16


def test_the_schema_is_current() -> None:
    made = json_schema()
    assert made.decode() == SCHEMA.read_text(), f"run: python -c '{MAKE_SCHEMA}' > deploy/{SCHEMA.name}"


@pytest.mark.parametrize("seed", ["0", "1"])
def test_the_schema_is_the_same_in_every_process(seed: str) -> None:
    command = [sys.executable, "-c", MAKE_SCHEMA]
    made = subprocess.run(command, cwd=ROOT, env={"PYTHONHASHSEED": seed}, check=True, capture_output=True)
    assert made.stdout == json_schema()


def test_editors_find_the_schema() -> None:
    first = FILE.read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=deploy/routing.schema.json"


def test_every_field_is_explained() -> None:
    definitions = msgspec.json.decode(json_schema())["$defs"]
    assert definitions.keys() == {
        "AllLimits",
        "BreakerConfig",
        "CacheConfig",
        "Config",
        "Defaults",
        "JwtSettings",
        "LedgerConfig",
        "LimitsConfig",
        "ModelConfig",
        "ParamDefaults",
        "Price",
        "ProviderConfig",
        "RetryConfig",
        "ServerConfig",
        "TargetConfig",
        "Timeouts",
    }
    bare = [
        f"{name}.{field}"
        for name, definition in definitions.items()
        if name != "Timeouts"  # belongs to the door, and explains its fields in its own description
        for field, schema in definition["properties"].items()
        if not schema.get("description")
    ]
    assert bare == []
    assert all(definition["description"] for definition in definitions.values())


# ------------------------------------------------------------------ as much of a validator as the schema needs

KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
IGNORED = {"$schema", "$defs", "title", "description", "default"}


def fits(value: Any, schema: dict[str, Any], whole: dict[str, Any]) -> bool:
    """Whether a value is valid. A keyword that is not known here is an error, so nothing is skipped."""
    return all(RULES[word](value, schema, whole) for word in schema.keys() - IGNORED)


def of_kind(value: Any, kinds: Any) -> bool:
    names = [kinds] if isinstance(kinds, str) else kinds
    return any(isinstance(value, KINDS[name]) and (name == "boolean" or value is not True) for name in names)


def properties(value: Any, schema: dict[str, Any], whole: dict[str, Any]) -> bool:
    if not isinstance(value, dict):
        return True
    known = schema["properties"]
    return all(fits(value[name], known[name], whole) for name in known.keys() & value.keys())


def further(value: Any, schema: dict[str, Any], whole: dict[str, Any]) -> bool:
    if not isinstance(value, dict):
        return True
    rest = value.keys() - schema.get("properties", {}).keys()
    allowed = schema["additionalProperties"]
    return not rest if allowed is False else all(fits(value[name], allowed, whole) for name in rest)


RULES: dict[str, Any] = {
    "$ref": lambda v, s, w: fits(v, w["$defs"][s["$ref"].removeprefix("#/$defs/")], w),
    "anyOf": lambda v, s, w: any(fits(v, option, w) for option in s["anyOf"]),
    "enum": lambda v, s, w: v in s["enum"],
    "type": lambda v, s, w: of_kind(v, s["type"]),
    "properties": properties,
    "additionalProperties": further,
    "propertyNames": lambda v, s, w: all(fits(name, s["propertyNames"], w) for name in v),
    "required": lambda v, s, w: not isinstance(v, dict) or all(name in v for name in s["required"]),
    "items": lambda v, s, w: not isinstance(v, list) or all(fits(item, s["items"], w) for item in v),
    "minItems": lambda v, s, w: not isinstance(v, list) or len(v) >= s["minItems"],
    "minimum": lambda v, s, w: not isinstance(v, int | float) or v >= s["minimum"],
    "maximum": lambda v, s, w: not isinstance(v, int | float) or v <= s["maximum"],
    "minLength": lambda v, s, w: not isinstance(v, str) or len(v) >= s["minLength"],
    "pattern": lambda v, s, w: not isinstance(v, str) or re.search(s["pattern"], v) is not None,
}


def is_valid(document: Any) -> bool:
    schema = msgspec.json.decode(json_schema())
    return fits(document, schema, schema)


def test_the_file_fits_the_schema() -> None:
    assert is_valid(yaml.safe_load(FILE.read_text()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"modles": {}},
        {"providers": {"p": {}}},
        {"providers": {"p": {"adapter": "gtp"}}},
        {"providers": {"p": {"adapter": "gpt", "concurrency": 0}}},
        {"providers": {"p": {"adapter": "gpt", "key_env": "sk-abc"}}},
        {"providers": {"p": {"adapter": "gpt", "timeouts": {"total": "120s"}}}},
        {"models": {"m": {"targets": []}}},
        {"models": {"a//b": {"targets": [{"provider": "p", "model": "m"}]}}},
        {"models": {"m": {"targets": [{"provider": "p", "model": "m", "weight": 0}]}}},
        {"models": {"m": {"targets": [{"provider": "p", "model": "m"}], "defaults": {"top_p": 2}}}},
        {"aliases": {"a": 1}},
    ],
)
def test_the_schema_refuses_mistakes(wrong: dict[str, Any]) -> None:
    assert not is_valid(wrong)
