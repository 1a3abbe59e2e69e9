"""Each mistake, with the line and the words it is told in."""

from pathlib import Path
from typing import get_args

import pytest

from adapters import ADAPTERS
from adapters.types import Host
from gateway.config import (
    Config,
    ConfigError,
    Defaults,
    ModelConfig,
    ParamDefaults,
    ProviderConfig,
    ServerConfig,
    TargetConfig,
    host,
    legal_model_name,
    load,
    modes_of,
    warnings,
)
from gateway.config.model import AdapterName, Engine
from gateway.upstream.types import Timeouts

PROVIDERS = """\
providers:
  openai: {adapter: gpt, key_env: OPENAI_API_KEY}
  cohere: {adapter: cohere, key_env: COHERE_API_KEY}
  gpu: {adapter: local, engine: vllm, base_url: "http://gpu-1:8000/v1"}
"""
MODELS = """\
models:
  gpt:
    targets:
      - {provider: openai, model: gpt-4.1}
"""
CORRECT = PROVIDERS + MODELS


def mistakes(text: str | bytes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text, "r.yaml")
    assert str(caught.value).splitlines() == [str(problem) for problem in caught.value.problems]
    return [str(problem) for problem in caught.value.problems]


def test_a_correct_file() -> None:
    text = """\
defaults: {model: fast, max_tokens: 500, max_models: 3}
server: {max_body_bytes: 2048, max_depth: 9, max_choices: 5}
providers:
  azure:
    adapter: gpt
    base_url: https://x.openai.azure.com/openai/deployments/{model}
    auth: api-key
    key_env: AZURE_KEY
    headers: {x-team: llm}
    query: {api-version: 2024-10-21}
    max_n: 4
    max_tokens_field: max_tokens
    stream_usage: false
    done_marker: false
    client: httpx
    ca_file: /etc/ssl/ours.pem
    timeouts: {connect: 1, first_byte: 2.5, idle: 3, total: 4}
    concurrency: 2
    queue: 0
models:
  gpt:
    description: A model.
    defaults: {temperature: 0, top_p: 1, max_tokens: 7, stop: [END], seed: 1, presence_penalty: -2}
    targets:
      - {provider: azure, model: prod, weight: 2, mode: completion}
      - {provider: azure, model: spare, fallback: true}
aliases: {fast: gpt}
"""
    assert load(text) == Config(
        defaults=Defaults("fast", 500, 3),
        server=ServerConfig(2048, 9, 5),
        providers={
            "azure": ProviderConfig(
                adapter="gpt",
                base_url="https://x.openai.azure.com/openai/deployments/{model}",
                auth="api-key",
                key_env="AZURE_KEY",
                headers={"x-team": "llm"},
                query={"api-version": "2024-10-21"},
                max_n=4,
                max_tokens_field="max_tokens",
                stream_usage=False,
                done_marker=False,
                client="httpx",
                ca_file="/etc/ssl/ours.pem",
                timeouts=Timeouts(1, 2.5, 3, 4),
                concurrency=2,
                queue=0,
            )
        },
        models={
            "gpt": ModelConfig(
                targets=(
                    TargetConfig("azure", "prod", 2, "completion"),
                    TargetConfig("azure", "spare", fallback=True),
                ),
                defaults=ParamDefaults(
                    max_tokens=7, temperature=0, top_p=1, stop=("END",), seed=1, presence_penalty=-2
                ),
                description="A model.",
            )
        },
        aliases={"fast": "gpt"},
    )


def test_what_is_not_said_has_its_default() -> None:
    config = load(CORRECT)
    assert config.defaults == Defaults(model=None, max_tokens=1024, max_models=16)
    assert config.server == ServerConfig(max_body_bytes=10_485_760, max_depth=64, max_choices=1024)
    assert config.models["gpt"].targets == (TargetConfig("openai", "gpt-4.1", 1, None, False),)
    assert config.models["gpt"].defaults == ParamDefaults()
    assert config.providers["cohere"] == ProviderConfig(adapter="cohere", key_env="COHERE_API_KEY", queue=64)


def test_temperature_zero_is_a_setting() -> None:
    config = load(CORRECT.replace("targets:", "defaults: {temperature: 0}\n    targets:"))
    assert config.models["gpt"].defaults.temperature == 0


def test_empty_sections_and_anchors_are_fine() -> None:
    shared = "models:\n  a:\n    targets: &both\n      - {provider: p, model: m}\n  b: {targets: *both}\n"
    config = load("aliases:\nserver: # nothing yet\nproviders: {p: {adapter: gpt}}\n" + shared)
    assert config.models["a"] == config.models["b"]
    assert config.aliases == {}


def test_several_mistakes_at_once_in_the_order_of_the_file() -> None:
    text = """\
aliases:
  gpt-4: gtp
providers:
  openai: {adapter: gpt}
  cohere:
    adapter: cohere
    timeouts:
      total: 120s
models:
  gpt:
    targets:
      - {provider: opneai, model: gpt-4.1}
      - {provider: openai, modle: gpt-4.1}
  command:
    targets:
      - {provider: cohere, model: command, weight: 0, mode: completion}
modles: {}
"""
    assert mistakes(text) == [
        "r.yaml:2: aliases.gpt-4: no model 'gtp' (did you mean 'gpt'?)",
        "r.yaml:8: providers.cohere.timeouts.total: expected a number, got text",
        "r.yaml:12: models.gpt.targets[0].provider: no provider 'opneai' (did you mean 'openai'?)",
        "r.yaml:13: models.gpt.targets[1].modle: unknown field (did you mean 'model'?)",
        "r.yaml:16: models.command.targets[0].weight: expected a whole number >= 1",
        "r.yaml:16: models.command.targets[0].mode: cohere cannot be asked that way (only: chat)",
        "r.yaml:17: modles: unknown section (did you mean 'models'?)",
    ]


KEY_ITSELF = "looks like a key itself (put that into the environment or .env, and its variable's name here)"
SECRET = "looks like a secret (key_env names the variable of the key, auth says how it is sent)"
NO_NAME = "is not a name for a model (1 to 256 letters, digits, and . _ : / @ + -; no '..' or empty part)"
NOT_THROUGH_LITELLM = "is not for adapter litellm, which asks the provider in its own way (leave it out)"
NOT_EMBEDDED = "is not for the embedded model, which the gateway runs itself (leave it out)"


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("adapter: gtp", "adapter: 'gtp' is not known (did you mean 'gpt'?)"),
        ("adapter: azure", "adapter: 'azure' is not known (known: gpt, cohere, llama, local, litellm)"),
        ("adapter: 4", "adapter: expected text, got a whole number (put it in quotes)"),
        ("base_url: http://x/v1", "adapter: is missing"),
        ("adaptor: gpt", "adaptor: unknown field (did you mean 'adapter'?)"),
        ("adapter: gpt, bse_url: x", "bse_url: unknown field (did you mean 'base_url'?)"),
        ("adapter: gpt, adapter: gpt", "adapter: given twice (first on line 2)"),
        ("adapter: gpt, engine: vllm", "engine: is only for adapter local, and this is gpt (leave it out)"),
        (
            "adapter: local, base_url: http://x",
            "engine: is missing (adapter local needs one of: llama.cpp, vllm, sglang, tgi, ollama)",
        ),
        (
            "adapter: local, base_url: http://x, engine: vlm",
            "engine: 'vlm' is not known (did you mean 'vllm'?)",
        ),
        ("adapter: gpt, provider: openai", "provider: is only for adapter litellm, and this is gpt (leave it out)"),
        (
            "adapter: litellm, key_env: A",
            "provider: is missing (adapter litellm needs its name of the provider, like anthropic)",
        ),
        (
            "adapter: litellm, provider: Anthropic/claude",
            "provider: is not litellm's name of a provider (small letters, digits, _ and -, like anthropic)",
        ),
        ("adapter: litellm, provider: gemini, headers: {a: b}", f"headers: {NOT_THROUGH_LITELLM}"),
        ("adapter: litellm, provider: gemini, client: httpx", f"client: {NOT_THROUGH_LITELLM}"),
        ("adapter: litellm, provider: gemini, ca_file: /a.pem", f"ca_file: {NOT_THROUGH_LITELLM}"),
        (
            "adapter: litellm, provider: gemini, base_url: 'http://169.254.169.254'",
            "base_url: is a link-local or metadata address, which no provider has",
        ),
        ("adapter: llama", "base_url: is missing (adapter llama has none of its own)"),
        ("adapter: gpt, base_url: api.openai.com", "base_url: must begin with http:// or https:// and a host"),
        ("adapter: gpt, key_env: sk-abc", f"key_env: {KEY_ITSELF}"),
        ("adapter: gpt, key_env: sk-proj-a8Fz3kLq0PdX2mVb", f"key_env: {KEY_ITSELF}"),
        ("adapter: gpt, key_env: gsk_a8Fz3kLq0PdX2mVbYt5", f"key_env: {KEY_ITSELF}"),
        ("adapter: gpt, key_env: a8Fz3kLq0PdX2mVbYt5RwEu7Ci9Ho1Js4Ng6Ma8B", f"key_env: {KEY_ITSELF}"),
        (
            "adapter: gpt, key_env: OPENAI-KEY",
            "key_env: is not the name of an environment variable (letters, digits and _, like OPENAI_API_KEY)",
        ),
        (
            "adapter: gpt, key_env: GATEWAY_ADMIN_KEY",
            "key_env: is one of the gateway's own settings, which no provider must see (use another variable)",
        ),
        ("adapter: gpt, auth: barer", "auth: 'barer' is not known (did you mean 'bearer'?)"),
        ("adapter: gpt, client: http2", "client: 'http2' is not known (did you mean 'httpx'?)"),
        ("adapter: gpt, headers: {Authorization: x}", f"headers.Authorization: {SECRET}"),
        ("adapter: gpt, headers: {X-Api-Key: x}", f"headers.X-Api-Key: {SECRET}"),
        ("adapter: gpt, headers: {x-goog: Bearer abc}", f"headers.x-goog: {SECRET}"),
        ("adapter: gpt, headers: {x-team: sk-abc}", f"headers.x-team: {SECRET}"),
        (
            'adapter: gpt, headers: {"a b": x}',
            "headers.a b: is not the name of a header (letters, digits and -)",
        ),
        (
            'adapter: gpt, headers: {x-a: "a\\r\\nb: c"}',
            "headers.x-a: must be one line of printable ASCII, without spaces around it",
        ),
        (
            'adapter: gpt, headers: {x-a: "é"}',
            "headers.x-a: must be one line of printable ASCII, without spaces around it",
        ),
        (
            "adapter: gpt, headers: {x-a: 1}",
            "headers.x-a: expected text, got a whole number (put it in quotes)",
        ),
        (
            "adapter: gpt, headers: {x-a: a, X-A: b}",
            "headers.X-A: is given twice (upper and lower case are the same)",
        ),
        (
            "adapter: gpt, headers: {Content-Length: '3'}",
            "headers.Content-Length: is written by the gateway itself (leave it out)",
        ),
        (
            "adapter: gpt, query: {key: abc}",
            "query.key: looks like a secret (addresses end up in logs: use key_env)",
        ),
        ("adapter: gpt, max_n: 0", "max_n: expected a whole number >= 1"),
        ("adapter: gpt, guided: guided", "guided: is only for engine vllm (leave it out)"),
        (
            "adapter: gpt, typed_path: guided",
            "typed_path: is guided, which adapter gpt has no way for (native, json_mode or prompted)",
        ),
        ("adapter: gpt, stream_usage: yes", "stream_usage: expected true or false, got text"),
        ("adapter: gpt, concurrency: 0", "concurrency: expected a whole number >= 1"),
        ("adapter: gpt, concurrency: 1.5", "concurrency: expected a whole number, got a number"),
        ("adapter: gpt, concurrency: 2, queue: -1", "queue: expected a whole number >= 0"),
        (
            "adapter: gpt, queue: 5",
            "queue: is only for providers with concurrency (say how many calls it takes at once)",
        ),
        (
            "adapter: gpt, timeouts: {connect: 0}",
            "timeouts.connect: must be more than 0 and at most 86400 seconds",
        ),
        (
            "adapter: gpt, timeouts: {idle: -1}",
            "timeouts.idle: must be more than 0 and at most 86400 seconds",
        ),
        (
            "adapter: gpt, timeouts: {total: 1e9}",
            "timeouts.total: must be more than 0 and at most 86400 seconds",
        ),
        ("adapter: gpt, timeouts: {idle: .inf}", "timeouts.idle: must be a finite number"),
        ("adapter: gpt, timeouts: {idle: .nan}", "timeouts.idle: must be a finite number"),
        ("adapter: gpt, timeouts: {idel: 1}", "timeouts.idel: unknown field (did you mean 'idle'?)"),
        ("adapter: gpt, timeouts: 5", "timeouts: expected a section of 'name: value' lines, got a whole number"),
        (
            "adapter: llama, base_url: http://x/v1, ca_file: /a.pem",
            "ca_file: is of no use with http:// (write https:// or leave it out)",
        ),
        ("adapter: gpt, embedded: true", "adapter: must be local for the embedded model"),
        (
            "adapter: local, engine: vllm, embedded: true",
            "engine: must be llama.cpp for the embedded model",
        ),
        (
            "adapter: local, engine: llama.cpp, embedded: true, base_url: http://x",
            f"base_url: {NOT_EMBEDDED}",
        ),
        ("adapter: local, engine: llama.cpp, embedded: true, key_env: A", f"key_env: {NOT_EMBEDDED}"),
    ],
)
def test_mistakes_of_a_provider(entry: str, told: str) -> None:
    text = f"providers:\n  p: {{{entry}}}\n  openai: {{adapter: gpt}}\n{MODELS}"
    assert f"r.yaml:2: providers.p.{told}" in mistakes(text)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("{}", "targets: is missing"),
        ("{targets: []}", "targets: at least one target is needed"),
        ("{targets: }", "targets: at least one target is needed"),
        ("{targets: openai}", "targets: expected a list, got text (begin each item with '- ')"),
        ("[]", ": expected a section of 'name: value' lines, got a list"),
        ("{targets: [openai]}", "targets[0]: expected a section of 'name: value' lines, got text"),
        ("{targets: [{provider: openai}]}", "targets[0].model: is missing"),
        (
            "{targets: [{provider: openai, model: 4.1}]}",
            "targets[0].model: expected text, got a number (put it in quotes)",
        ),
        ("{targets: [{provider: openai, model: ../x}]}", f"targets[0].model: {NO_NAME}"),
        (
            "{targets: [{provider: openai, model: m, weight: 0}]}",
            "targets[0].weight: expected a whole number >= 1",
        ),
        (
            "{targets: [{provider: openai, model: m, mode: chta}]}",
            "targets[0].mode: 'chta' is not known (did you mean 'chat'?)",
        ),
        (
            "{targets: [{provider: cohere, model: m, mode: completion}]}",
            "targets[0].mode: cohere cannot be asked that way (only: chat)",
        ),
        (
            "{targets: [{provider: openai, model: m, fallback: true}]}",
            "targets: all are fallbacks (one must be asked first)",
        ),
        (
            "{targets: [{provider: openai, model: m}, {provider: openai, model: m, weight: 2}]}",
            "targets[1]: is the same as targets[0] (give that one more weight instead)",
        ),
        (
            "{targets: [{provider: openia, model: m}]}",
            "targets[0].provider: no provider 'openia' (did you mean 'openai'?)",
        ),
        (
            "{targets: [{provider: x, model: m}]}",
            "targets[0].provider: no provider 'x' (known: openai, cohere, gpu)",
        ),
        (
            "{targets: [{provider: openai, model: m}], defaults: {temperature: 2.5}}",
            "defaults.temperature: expected a number <= 2.0",
        ),
        (
            "{targets: [{provider: openai, model: m}], defaults: {top_p: .nan}}",
            "defaults.top_p: must be a finite number",
        ),
        (
            "{targets: [{provider: openai, model: m}], defaults: {max_tokens: 0}}",
            "defaults.max_tokens: expected a whole number >= 1",
        ),
        (
            "{targets: [{provider: openai, model: m}], defaults: {max_token: 1}}",
            "defaults.max_token: unknown field (did you mean 'max_tokens'?)",
        ),
        (
            "{targets: [{provider: openai, model: m}], defaults: {stop: [1]}}",
            "defaults.stop[0]: expected text, got a whole number (put it in quotes)",
        ),
    ],
)
def test_mistakes_of_a_model(entry: str, told: str) -> None:
    found = mistakes(f"{PROVIDERS}models:\n  m: {entry}\n")
    assert found == [f"r.yaml:6: models.m{'' if told[0] == ':' else '.'}{told}"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ["1: the file is empty (it needs providers and models)"]),
        ("# nothing\n", ["1: the file is empty (it needs providers and models)"]),
        ("hello", ["1: expected a section of 'name: value' lines, got text", *[]]),
        ("- 1", ["1: expected a section of 'name: value' lines, got a list"]),
        (PROVIDERS, ["1: models: at least one model is needed"]),
        (PROVIDERS + "models: {}\n", ["5: models: at least one model is needed"]),
        (CORRECT + "defaults: {model: gtp}\n", ["9: defaults.model: no model 'gtp' (did you mean 'gpt'?)"]),
        (CORRECT + "defaults: {max_models: 0}\n", ["9: defaults.max_models: expected a whole number >= 1"]),
        (CORRECT + "server: {max_depth: 1}\n", ["9: server.max_depth: expected a whole number >= 8"]),
        (CORRECT + "aliases:\n  a: gpt-5\n", ["10: aliases.a: no model 'gpt-5' (did you mean 'gpt'?)"]),
        (
            CORRECT + "aliases:\n  gpt: gpt\n",
            ["10: aliases.gpt: is also the name of a model (a name means one thing: drop one of the two)"],
        ),
        (CORRECT + "aliases:\n  a: a\n", ["10: aliases.a: points at itself (an alias points at a model)"]),
        (
            CORRECT + "aliases:\n  a: b\n  b: a\n",
            [
                "10: aliases.a: points at the alias 'b' (an alias points at a model)",
                "11: aliases.b: points at the alias 'a' (an alias points at a model)",
            ],
        ),
        (CORRECT + "aliases:\n  a//b: gpt\n", [f"10: aliases.a//b: {NO_NAME}"]),
        (CORRECT + "aliases: {a: gpt, a: gpt}\n", ["9: aliases.a: given twice (first on line 9)"]),
        (CORRECT + "models: {}\n", ["9: models: given twice (first on line 5)"]),
        (CORRECT + "aliases: {[a]: gpt}\n", ["9: aliases: the name on line 9 is not plain text"]),
        (
            PROVIDERS + '  "a b": {adapter: gpt}\n' + MODELS,
            ["5: providers.a b: is not a name for a provider (1 to 64 letters, digits, and . _ -)"],
        ),
        (
            CORRECT + '"\\e[31m": 1\n',
            [
                "9: \\x1b[31m: unknown section "
                "(known: defaults, server, limits, cache, retry, breaker, ledger, jwt, providers, models, aliases)"
            ],
        ),
        ("a: 1\n\tb: 2\n", ["2:1: a tab where YAML wants spaces (indent with spaces)"]),
        (
            "a: b: c\n",
            [
                "1:5: mapping values are not allowed here "
                "(indent this line like its neighbours, and quote texts that hold ': ')"
            ],
        ),
        ("a: [1, 2\n", ["2:1: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'"]),
        ("a: *nowhere\n", ["1:4: found undefined alias 'nowhere'"]),
        ("a: 1\n---\nb: 2\n", ["2:1: expected a single document in the stream, but found another document"]),
        ("a: !!python/object:os.system x\n", ["1:4: tags such as !!str are not used here"]),
        ('a: "\\UFFFFFFFF"\n', ["1:7: an escape sequence names no character"]),
        ("ok: 1\na: \x07\n", ["2:4: character #x0007 is not allowed in YAML"]),
        (b"ok: 1\na: \xff\n", ["2: this is not UTF-8 text (save the file as UTF-8)"]),
        ("#" * 1_048_577, ["1: the file is larger than 1048576 bytes"]),
        ("[" * 40, ["1:33: nested more than 32 deep"]),
    ],
)
def test_mistakes_of_the_file(text: str | bytes, told: list[str]) -> None:
    assert mistakes(text) == [f"r.yaml:{line}" for line in told]


def test_a_secret_is_never_repeated() -> None:
    secret = "sk-proj-a8Fz3kLq0PdX2mVb"
    providers = f"""\
providers:
  a: {{adapter: gpt, key_env: {secret}}}
  b: {{adapter: gpt, headers: {{authorization: Bearer {secret}}}}}
  c: {{adapter: gpt, base_url: "https://user:{secret}@api.openai.com/v1"}}
  d: {{adapter: gpt, base_url: "https://api.openai.com/v1?key={secret}"}}
  openai: {{adapter: gpt}}
"""
    found = mistakes(providers + MODELS)
    assert len(found) == 4
    assert not [line for line in found if secret in line]


def test_scalars_are_what_an_editor_takes_them_for() -> None:
    """YAML 1.1 would make a boolean, a date, and 8 of these."""
    text = CORRECT.replace("model: gpt-4.1", "model: no").replace("gpt:", "on:", 1)
    config = load(text.replace("adapter: gpt,", "adapter: gpt, query: {api-version: 2024-10-21},"))
    assert config.models["on"].targets[0].model == "no"
    assert config.providers["openai"].query == {"api-version": "2024-10-21"}
    assert mistakes(CORRECT + "defaults: {max_tokens: 010}\n") == [
        "r.yaml:9: defaults.max_tokens: expected a whole number, got text"
    ]


ISSUER = "issuer: https://id.example.org/, audience: gateway"


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("{}", ["issuer: is missing", "audience: is missing", "jwks: is missing"]),
        (f"{{{ISSUER}, jwks: ''}}", ["jwks: expected text of length >= 1"]),
        (
            f"{{{ISSUER}, jwks: 'http://id.example.org/keys'}}",
            [
                "jwks: http://id.example.org/keys must begin with https:// "
                "(keys that anyone on the way can change prove nothing)"
            ],
        ),
        (
            f"{{{ISSUER}, jwks: k.json, algorithms: [HS256]}}",
            ["algorithms[0]: 'HS256' is not known (did you mean 'RS256'?)"],
        ),
        (f"{{{ISSUER}, jwks: k.json, algorithms: []}}", ["algorithms: at least one is needed"]),
        ("{issuer: i, audience: [], jwks: k.json}", ["audience: at least one is needed"]),
        ("{issuer: i, audience: [[]], jwks: k.json}", ["audience[0]: expected text, got a list"]),
        ("{issuer: i, audience: {}, jwks: k.json}", ["audience: expected text or a list, got a section"]),
        (
            "{issuer: i, audience: 5, jwks: k.json}",
            ["audience: expected text or a list, got a whole number (put it in quotes)"],
        ),
        (
            f"{{{ISSUER}, jwks: k.json, teams: {{}}}}",
            ["teams: names no team, so that no token would be accepted (leave it out, or name some)"],
        ),
        (f"{{{ISSUER}, jwks: k.json, leeway: 301}}", ["leeway: expected a number <= 300.0"]),
    ],
)
def test_mistakes_about_an_identity_provider(section: str, told: list[str]) -> None:
    assert mistakes(CORRECT + f"jwt: {section}\n") == [f"r.yaml:9: jwt.{line}" for line in told]


def test_an_audience_is_one_or_several() -> None:
    one, several = [
        load(CORRECT + f"jwt: {{issuer: i, audience: {audience}, jwks: k.json}}\n").jwt for audience in ("a", "[a, b]")
    ]
    assert one is not None and several is not None
    assert (one.audience, several.audience) == ("a", ("a", "b"))
    assert load(CORRECT).jwt is None


def test_at_most_a_page_of_mistakes() -> None:
    found = mistakes(CORRECT + "aliases:\n" + "".join(f"  a{i}: nothing\n" for i in range(5000)))
    assert len(found) == 101
    assert found[-1] == "r.yaml:109: this is as much as is shown at once"


@pytest.mark.parametrize(
    ("name", "legal"),
    [
        ("gpt-4.1", True),
        ("meta-llama/Llama-3.1-8B-Instruct", True),
        ("accounts/fireworks/models/x", True),
        ("@cf/meta/llama:free", True),
        ("a+b_c", True),
        ("..a", True),
        ("a" * 256, True),
        ("a" * 257, False),
        ("", False),
        (".", False),
        ("..", False),
        ("a/../b", False),
        ("a/./b", False),
        ("../a", False),
        ("a/..", False),
        ("/a", False),
        ("a/", False),
        ("a//b", False),
        ("a b", False),
        ("a,b", False),
        ("a?b", False),
        ("a#b", False),
        ("a%2fb", False),
        ("a\n", False),
        ("ä", False),
        ("a\x00", False),
    ],
)
def test_names_of_models(name: str, legal: bool) -> None:
    assert legal_model_name(name) is legal


def test_a_host_is_what_the_file_says() -> None:
    provider = ProviderConfig(
        adapter="local",
        engine="vllm",
        base_url="http://gpu:8000/v1",
        auth="api-key",
        headers={"a": "b"},
        query={"c": "d"},
        max_n=3,
        max_tokens_field="max_tokens",
        stream_usage=False,
        done_marker=False,
    )
    assert host(provider, "k") == Host(
        base_url="http://gpu:8000/v1",
        key="k",
        engine="vllm",
        auth="api-key",
        headers={"a": "b"},
        query={"c": "d"},
        max_n=3,
        max_tokens_field="max_tokens",
        stream_usage=False,
        done_marker=False,
    )
    assert host(ProviderConfig(adapter="gpt"), None).base_url == "https://api.openai.com/v1"
    assert host(ProviderConfig(adapter="cohere"), None).base_url == "https://api.cohere.com"
    embedded = ProviderConfig(adapter="local", engine="llama.cpp", embedded=True)
    assert host(embedded, None, "http+unix://%2Ftmp%2Fs").base_url == "http+unix://%2Ftmp%2Fs"


def test_a_provider_behind_litellm_is_named_beside_the_request() -> None:
    entry = ProviderConfig(adapter="litellm", provider="gemini", base_url="https://g.example", key_env="A", max_n=2)
    made = host(entry, "k", "http+unix://%2Ftmp%2Fs")
    assert (made.base_url, made.key, made.max_n) == ("http+unix://%2Ftmp%2Fs", "k", 2)
    assert made.headers == {"x-litellm-provider": "gemini", "x-litellm-base": "https://g.example"}
    plain = host(ProviderConfig(adapter="litellm", provider="gemini"), "k", "http+unix://%2Ftmp%2Fs")
    assert plain.headers == {"x-litellm-provider": "gemini"}


def test_a_provider_behind_litellm_needs_no_address() -> None:
    text = "providers:\n  p: {adapter: litellm, provider: bedrock}\n"
    model = "models: {m: {targets: [{provider: p, model: 'anthropic.claude-3-haiku-20240307-v1:0'}]}}\n"
    assert load(text + model).providers["p"].provider == "bedrock"


def test_the_adapters_are_those_that_exist() -> None:
    assert set(get_args(AdapterName)) == set(ADAPTERS)
    for engine in get_args(Engine):
        assert modes_of(ProviderConfig(adapter="local", engine=engine))
    assert modes_of(ProviderConfig(adapter="gpt")) == ("chat", "completion")


def test_a_model_without_a_key_is_noted() -> None:
    config = load(
        PROVIDERS
        + "models:\n"
        + "  a: {targets: [{provider: openai, model: a}]}\n"
        + "  b: {targets: [{provider: openai, model: b}, {provider: cohere, model: b}]}\n"
        + "  c: {targets: [{provider: openai, model: c}, {provider: gpu, model: c}]}\n"
    )
    assert warnings(config, {}) == [
        "models.a: not offered: OPENAI_API_KEY is not set",
        "models.b: not offered: none of OPENAI_API_KEY and COHERE_API_KEY is set",
    ]
    assert warnings(config, {"OPENAI_API_KEY": "", "COHERE_API_KEY": "x"}) == [
        "models.a: not offered: OPENAI_API_KEY is not set"
    ]
    assert warnings(config, {"OPENAI_API_KEY": "x"}) == []


def test_loading_opens_no_file(tmp_path: Path) -> None:
    text = CORRECT.replace("adapter: cohere,", f"adapter: cohere, ca_file: {tmp_path}/none.pem,")
    assert load(text).providers["cohere"].ca_file == f"{tmp_path}/none.pem"
