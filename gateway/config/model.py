"""What ``routing.yaml`` can say. The types are the rules; the descriptions are what an editor shows.

Secrets are never in the file, only the names of the environment variables that hold them.
"""

import re
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct, field

from adapters import ADAPTERS
from adapters.longtail import private
from adapters.types import Host, Mode
from gateway.bearer.settings import JwtSettings
from gateway.upstream.types import Timeouts

if TYPE_CHECKING:
    AdapterName = str
else:
    AdapterName = Literal[tuple(ADAPTERS)]  # so that a new adapter is known by its line in the registry
Engine = Literal["llama.cpp", "vllm", "sglang", "tgi", "ollama"]

BASE_URLS: dict[str, str] = {
    "gpt": "https://api.openai.com/v1",
    "cohere": "https://api.cohere.com",
}
"""Where an adapter's own provider lives, for entries that do not say."""

# No empty, "." or ".." segment: a name may become part of a provider's path.
_NAME = r"(?!(?:.*/)?\.{0,2}(?:/|$))[A-Za-z0-9._:/@+-]{1,256}"
_LEGAL_NAME = re.compile(_NAME)

ModelName = Annotated[str, Meta(extra_json_schema={"pattern": f"^{_NAME}$"})]
"""The pattern is for editors; ``legal_model_name`` decides, and says more kindly what is wrong."""


def legal_model_name(name: str) -> bool:
    """Whether a model can be called this: 1 to 256 letters, digits and ``. _ : / @ + -``, not like ``a//b``."""
    return len(name) <= 256 and _LEGAL_NAME.fullmatch(name) is not None


TypedPath = Literal["native", "guided", "json_mode", "prompted"]
Strategy = Literal["weighted", "fastest", "least_busy", "cheapest"]
Caching = Literal["auto", "always", "never"]
Seconds = Annotated[float, Meta(ge=0, le=86_400)]


class Defaults(Struct, frozen=True, forbid_unknown_fields=True):
    """What holds where neither the caller nor the model says."""

    model: Annotated[
        ModelName | None,
        Meta(description="The model that is asked when a call names none. Without it such a call is refused."),
    ] = None
    max_tokens: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000_000,
            description="The token limit sent to targets in completion mode when neither the caller nor the "
            "model gives one: completion routes otherwise stop after 16 tokens.",
        ),
    ] = 1024
    max_models: Annotated[int, Meta(ge=1, le=1024, description="The most models one call may name.")] = 16
    repair_rounds: Annotated[
        int,
        Meta(
            ge=0,
            le=8,
            description="How often a model whose answer breaks its type is shown the answer and what is wrong with it, "
            "before the next target is asked.",
        ),
    ] = 2


class ServerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds on what a caller may send."""

    max_body_bytes: Annotated[int, Meta(ge=1024, le=1 << 30, description="The largest request body, in bytes.")] = (
        10 * 1024 * 1024
    )
    max_depth: Annotated[
        int, Meta(ge=8, le=512, description="How deep objects and lists of a request body may be nested.")
    ] = 64
    max_choices: Annotated[
        int, Meta(ge=1, le=65536, description="The most choices of one call: its models times its n.")
    ] = 1024
    keepalive: Annotated[
        float,
        Meta(
            ge=0.1,
            le=300,
            description="Seconds after which a stream whose answer is still being checked is kept open by a comment.",
        ),
    ] = 5.0
    concurrency: Annotated[
        int, Meta(ge=1, le=1_000_000, description="The most calls that one worker has under way at once.")
    ] = 4096
    queue: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="How many calls may wait for one of these; further ones are refused at once, with 503.",
        ),
    ] = 256
    lag_ms: Annotated[
        Annotated[float, Meta(ge=1, le=60_000)] | None,
        Meta(
            description="New calls are refused, with 503, when for a tenth of a second no call was taken up within so "
            "many milliseconds after it had come, or when ever more wait, or far more come than can be done: the "
            "worker has more to do than it can. A few are let in all the same. null: none is refused."
        ),
    ] = 20.0


class CacheConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Answers that are kept for the next who asks the same, within a team."""

    mode: Annotated[
        Caching,
        Meta(
            description="auto: calls at temperature 0 or with a seed, and those that ask for it (Cache-Control). "
            "always: all calls. never: none, whatever they ask."
        ),
    ] = "auto"
    ttl: Annotated[Annotated[int, Meta(ge=1, le=31_536_000)], Meta(description="Seconds that an answer is kept.")] = (
        3600
    )
    max_bytes: Annotated[
        int,
        Meta(
            ge=1 << 16,
            le=1 << 40,
            description="The most that a team's answers take in Redis; without Redis, all teams' in one process. The "
            "oldest make room.",
        ),
    ] = 32 << 20
    max_entry_bytes: Annotated[
        int, Meta(ge=1024, le=64 << 20, description="The largest answer that is kept, before it is compressed.")
    ] = 1 << 20


class RetryConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a model's targets are asked again, after all of them have failed in a way that may pass."""

    rounds: Annotated[int, Meta(ge=0, le=10, description="How often, at most, in one call.")] = 2
    base: Annotated[
        Seconds, Meta(description="The wait before the first time is drawn from 0 to so many seconds, then to twice...")
    ] = 0.2
    most: Annotated[Seconds, Meta(description="... and to this at most. No longer Retry-After is waited for.")] = 5.0
    share: Annotated[
        Annotated[float, Meta(ge=0, le=1)],
        Meta(description="Of what a target is asked, the part that may be asked again."),
    ] = 0.1
    floor: Annotated[
        Annotated[float, Meta(ge=0, le=10_000)], Meta(description="... and so many times in a second beyond that.")
    ] = 1.0


class BreakerConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a target that fails is left alone for a while. Each key of a provider is judged by itself."""

    failures: Annotated[
        Annotated[int, Meta(ge=1, le=10_000)], Meta(description="After so many failures one after the other...")
    ] = 5
    ratio: Annotated[
        Annotated[float, Meta(gt=0, le=1)], Meta(description="... or when this part of its last calls have failed,")
    ] = 0.5
    least: Annotated[Annotated[int, Meta(ge=1, le=100_000)], Meta(description="which must be so many,")] = 20
    window: Annotated[Seconds, Meta(description="in so many seconds.")] = 30.0
    pause: Annotated[
        Annotated[float, Meta(gt=0, le=86_400)],
        Meta(description="Seconds that it is left alone; twice as long each time that it fails again..."),
    ] = 2.0
    most_pause: Annotated[Annotated[float, Meta(gt=0, le=86_400)], Meta(description="... and so long at most.")] = 30.0


Count = Annotated[int, Meta(ge=1, le=10**12)]
Dollars = Annotated[float, Meta(gt=0, le=10**9)]


class LimitsConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one team, key, user, model, or the organisation may use. Each leg of a call is a request of its own. Days
    and months begin at midnight UTC."""

    rpm: Annotated[Count | None, Meta(description="Requests in any 60 seconds.")] = None
    tpm: Annotated[Count | None, Meta(description="Tokens in any 60 seconds, of prompts and answers together.")] = None
    tpd: Annotated[Count | None, Meta(description="Tokens of a day.")] = None
    concurrent: Annotated[
        Annotated[int, Meta(ge=1, le=10**6)] | None, Meta(description="Requests under way at the same time.")
    ] = None
    usd_per_day: Annotated[Dollars | None, Meta(description="Dollars of a day; what would pass it is refused.")] = None
    usd_per_month: Annotated[Dollars | None, Meta(description="Dollars of a month; what would pass it is refused.")] = (
        None
    )
    soft_usd_per_day: Annotated[
        Dollars | None, Meta(description="Dollars of a day beyond which answers carry a warning.")
    ] = None
    soft_usd_per_month: Annotated[
        Dollars | None, Meta(description="Dollars of a month beyond which answers carry a warning.")
    ] = None


class AllLimits(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits and budgets. What is set in the database, by ``gateway limits`` or ``/admin/limits``, goes before what
    stands here; here the named entry goes before the one for all, limit by limit."""

    organisation: Annotated[LimitsConfig, Meta(description="Of all calls together.")] = LimitsConfig()
    team: Annotated[LimitsConfig, Meta(description="Of each team.")] = LimitsConfig()
    key: Annotated[LimitsConfig, Meta(description="Of each key.")] = LimitsConfig()
    user: Annotated[LimitsConfig, Meta(description="Of each end user of each team (the field user of a call).")] = (
        LimitsConfig()
    )
    model: Annotated[LimitsConfig, Meta(description="Of each model, over all teams.")] = LimitsConfig()
    teams: Annotated[dict[str, LimitsConfig], Meta(description="Of teams, by their names.")] = field(
        default_factory=dict
    )
    keys: Annotated[dict[str, LimitsConfig], Meta(description="Of keys, by their ids.")] = field(default_factory=dict)
    users: Annotated[dict[str, LimitsConfig], Meta(description="Of end users, as team/user.")] = field(
        default_factory=dict
    )
    models: Annotated[dict[ModelName, LimitsConfig], Meta(description="Of models, by their names under models.")] = (
        field(default_factory=dict)
    )
    on_store_failure: Annotated[
        Literal["local", "deny", "allow"],
        Meta(
            description="While Redis cannot be asked. local: each replica keeps its share of every limit by itself. "
            "deny: calls are refused. allow: calls are let in; what they use is counted later."
        ),
    ] = "local"
    unknown_price: Annotated[
        Literal["refuse", "allow"],
        Meta(
            description="What becomes of a call that a budget holds for, when a target of its model has no known price."
        ),
    ] = "refuse"
    output_tokens: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000_000,
            description="How long an answer is taken to become where neither the call nor the model says: this many "
            "tokens are reserved until it is known.",
        ),
    ] = 4096


class LedgerConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The record of what was used."""

    on_full: Annotated[
        Literal["refuse", "allow"],
        Meta(
            description="What becomes of new calls when the disk has no room to note them. refuse: they are answered "
            "503. allow: they are served, and are missing from the record."
        ),
    ] = "refuse"
    spool_bytes: Annotated[
        int,
        Meta(
            ge=4 << 20,
            le=1 << 40,
            description="The most that may wait on the disk of one process while the database is away.",
        ),
    ] = 1 << 30


class Price(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Dollars per million tokens, and per request. What is not said of input costs what input does, of reasoning what
    output does."""

    since: Annotated[
        str | None,
        Meta(
            description="The day from which it holds, like 2027-01-01 (UTC). Without it, from the beginning.",
            extra_json_schema={"pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
        ),
    ] = None
    input: Annotated[float | None, Meta(description="Dollars per million tokens of a prompt.")] = None
    cached: Annotated[float | None, Meta(description="... of a prompt that the provider had in its cache.")] = None
    cache_write: Annotated[float | None, Meta(description="... of a prompt that it put into its cache.")] = None
    output: Annotated[float | None, Meta(description="Dollars per million tokens of an answer.")] = None
    reasoning: Annotated[float | None, Meta(description="... of an answer's reasoning.")] = None
    request: Annotated[float | None, Meta(description="Dollars per request, whatever its tokens.")] = None


class ProviderConfig(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A host of models: where it is, what it speaks, and which environment variable holds its key."""

    adapter: Annotated[
        AdapterName,
        Meta(
            description="What the host speaks. gpt: the OpenAI wire. llama: the same, as hosts of open models "
            "speak it. cohere: Cohere's v2 chat. local: an inference server of your own; needs engine. "
            "litellm: any other provider that litellm knows; needs provider."
        ),
    ]
    provider: Annotated[
        str | None,
        Meta(
            description="litellm's name of the provider, such as anthropic, gemini, bedrock or mistral. "
            "Only with adapter: litellm.",
            extra_json_schema={"pattern": "^[a-z0-9][a-z0-9_-]{0,63}$"},
        ),
    ] = None
    engine: Annotated[
        Engine | None, Meta(description="The software of a local inference server. Only with adapter: local.")
    ] = None
    base_url: Annotated[
        str | None,
        Meta(
            description="Where the host is, up to what it has in common for all routes, such as "
            "https://api.openai.com/v1. {model} in the path becomes the model's name. "
            "gpt and cohere know their own, litellm those of its providers."
        ),
    ] = None
    key_env: Annotated[
        str | None,
        Meta(
            description="The name of the environment variable that holds the key, never the key itself. While it "
            "is unset, this provider is not asked. Leave it out where no key is needed.",
            extra_json_schema={"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        ),
    ] = None
    key_envs: Annotated[
        tuple[Annotated[str, Meta(extra_json_schema={"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"})], ...],
        Meta(
            description="Several such variables, each with a key of its own, instead of key_env. Calls are shared out "
            "among the keys that are set; one that the provider refuses is left alone for a while."
        ),
    ] = ()
    auth: Annotated[
        Literal["bearer", "api-key"],
        Meta(description="How the key is sent: as 'authorization: Bearer', or in Azure's header 'api-key'."),
    ] = "bearer"
    headers: Annotated[
        dict[str, str], Meta(description="Headers sent with every request. Nothing secret: see key_env.")
    ] = field(default_factory=dict)
    query: Annotated[
        dict[str, str],
        Meta(description="Parameters added to every address, such as Azure's api-version. Nothing secret."),
    ] = field(default_factory=dict)
    max_n: Annotated[
        Annotated[int, Meta(ge=1, le=1024)] | None,
        Meta(description="The most choices the host gives in one request; more are asked by repeating it."),
    ] = None
    max_tokens_field: Annotated[
        Literal["max_tokens", "max_completion_tokens"] | None,
        Meta(description="The token limit's name in this host's chats, where it differs from the adapter's habit."),
    ] = None
    stream_usage: Annotated[bool, Meta(description="Whether the host's streams can be asked to report usage.")] = True
    done_marker: Annotated[bool, Meta(description="Whether the host's streams end with [DONE].")] = True
    guided: Annotated[
        Literal["structured_outputs", "guided"],
        Meta(
            description="How vLLM is told what constrains an answer: structured_outputs from version 0.12 on, guided "
            "(guided_json and its like) before. Each drops the other's words without a sound."
        ),
    ] = "structured_outputs"
    typed_path: Annotated[
        TypedPath | None,
        Meta(
            description="How answers are held to their type. native: the host's own structured output. guided: the "
            "engine's constrained decoder. json_mode: a mode that makes any JSON object, with the type in the prompt. "
            "prompted: the type in the prompt alone. By default what the adapter has on the route. The answer is "
            "checked in any case."
        ),
    ] = None
    show_types: Annotated[
        bool | None,
        Meta(
            description="Whether the model is shown the TypeScript that its decoder holds it to, which decoders do not "
            "do. By default yes; not the embedded model, which cannot read it."
        ),
    ] = None
    client: Annotated[
        Literal["http1", "httpx"] | None,
        Meta(
            description="The HTTP client. http1 is the fast one; httpx goes through egress proxies. "
            "By default httpx where the environment configures a proxy, otherwise http1."
        ),
    ] = None
    ca_file: Annotated[
        str | None,
        Meta(description="A PEM file of the authorities that vouch for this host's certificate."),
    ] = None
    timeouts: Annotated[Timeouts, Meta(description="How long to wait for this host, in seconds.")] = Timeouts()
    embedded: Annotated[bool, Meta(description="The model that ships with the gateway, which then runs it itself.")] = (
        False
    )
    concurrency: Annotated[
        Annotated[int, Meta(ge=1, le=65536)] | None,
        Meta(description="The most calls to this provider at once. Further ones wait in the queue."),
    ] = None
    queue: Annotated[
        int,
        Meta(
            ge=0,
            le=65536,
            description="How many calls may wait for one of these; further ones are refused. Only with concurrency.",
        ),
    ] = 64


class TargetConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One provider's model, by which a model of ours can be answered."""

    provider: Annotated[str, Meta(description="The name of an entry under providers.")]
    model: Annotated[ModelName, Meta(description="The provider's own name for the model.")]
    weight: Annotated[
        int, Meta(ge=1, le=1_000_000, description="Its share of first tries among the model's targets.")
    ] = 1
    mode: Annotated[
        Mode | None,
        Meta(
            description="chat: the prompt is sent as a user's message. completion: the bare text is continued, "
            "as base models need it. By default what the adapter prefers."
        ),
    ] = None
    fallback: Annotated[bool, Meta(description="Asked only after the targets without this have failed.")] = False
    typed_path: Annotated[TypedPath | None, Meta(description="As of the provider, for this model alone.")] = None
    price: Annotated[
        Price | None,
        Meta(description="What it costs. By default what the published list says of the provider's model."),
    ] = None
    prices: Annotated[
        tuple[Price, ...],
        Meta(description="What it costs from which day on, where that changes; instead of price."),
    ] = ()
    max_output: Annotated[
        Annotated[int, Meta(ge=1, le=10_000_000)] | None,
        Meta(description="The most tokens of an answer. By default what the published list says."),
    ] = None
    tokenizer: Annotated[
        str | None,
        Meta(
            description="What counts its tokens before a call: the path of a .gguf, of a tokenizer.json, of a "
            ".tiktoken file, or tiktoken:cl100k_base or tiktoken:o200k_base. Without it prompts are bounded by their "
            "bytes and by what the provider has reported."
        ),
    ] = None


class ParamDefaults(Struct, frozen=True, forbid_unknown_fields=True):
    """What a model is asked with where the caller does not say."""

    max_tokens: Annotated[
        Annotated[int, Meta(ge=1, le=10_000_000)] | None, Meta(description="The most tokens to answer with.")
    ] = None
    temperature: Annotated[
        Annotated[float, Meta(ge=0, le=2)] | None,
        Meta(description="0 is the likeliest answer; more is livelier."),
    ] = None
    top_p: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None,
        Meta(description="The share of likelihood from which tokens are drawn."),
    ] = None
    stop: Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], Meta(description="Texts that end the answer.")] = ()
    seed: Annotated[
        Annotated[int, Meta(ge=0, le=(1 << 63) - 1)] | None,
        Meta(description="Makes answers repeatable, where the provider can."),
    ] = None
    presence_penalty: Annotated[
        Annotated[float, Meta(ge=-2, le=2)] | None, Meta(description="Above 0, turns to new subjects.")
    ] = None
    frequency_penalty: Annotated[
        Annotated[float, Meta(ge=-2, le=2)] | None, Meta(description="Above 0, repeats itself less.")
    ] = None


class ModelConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A model as callers know it, and what it is answered by."""

    targets: Annotated[tuple[TargetConfig, ...], Meta(min_length=1, description="What can answer for it.")]
    defaults: Annotated[
        ParamDefaults, Meta(description="Parameters for calls that do not give them. The caller's own win.")
    ] = ParamDefaults()
    description: Annotated[str | None, Meta(description="A sentence for those who choose a model.")] = None
    strategy: Annotated[
        Strategy,
        Meta(
            description="Which target is asked first. weighted: by weight. fastest: the one that has answered soonest "
            "of late. least_busy: the one with the fewest calls under way, by the engine's own account where it gives "
            "one. cheapest: by price."
        ),
    ] = "weighted"
    cache: Annotated[
        Caching | None, Meta(description="Whether its answers are kept, where that differs from cache.mode.")
    ] = None
    cache_ttl: Annotated[
        Annotated[int, Meta(ge=1, le=31_536_000)] | None,
        Meta(description="Seconds that its answers are kept, where that differs from cache.ttl."),
    ] = None
    on_too_long: Annotated[
        tuple[ModelName, ...],
        Meta(description="Models to ask instead, in their order, when a call does not fit into this one's context."),
    ] = ()
    on_filtered: Annotated[
        tuple[ModelName, ...],
        Meta(description="Models to ask instead, in their order, when the provider's content policy refuses a call."),
    ] = ()


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file: which models are offered, and who answers for them."""

    defaults: Annotated[Defaults, Meta(description="What holds where neither caller nor model says.")] = Defaults()
    server: Annotated[ServerConfig, Meta(description="Bounds on what a caller may send.")] = ServerConfig()
    limits: Annotated[AllLimits, Meta(description="What teams, keys, users, models and all of them may use.")] = (
        AllLimits()
    )
    cache: Annotated[CacheConfig, Meta(description="Which answers are kept, and how long.")] = CacheConfig()
    retry: Annotated[RetryConfig, Meta(description="When a model's targets are asked again.")] = RetryConfig()
    breaker: Annotated[BreakerConfig, Meta(description="When a target that fails is left alone.")] = BreakerConfig()
    ledger: Annotated[LedgerConfig, Meta(description="The record of what was used.")] = LedgerConfig()
    jwt: Annotated[
        JwtSettings | None,
        Meta(description="An identity provider whose tokens (JWT) are accepted in place of keys. By default none."),
    ] = None
    providers: Annotated[dict[str, ProviderConfig], Meta(description="Hosts of models, by names of your choice.")] = (
        field(default_factory=dict)
    )
    models: Annotated[
        dict[ModelName, ModelConfig], Meta(description="The models that can be called, by their names.")
    ] = field(default_factory=dict)
    aliases: Annotated[
        dict[ModelName, ModelName], Meta(description="Further names of models: the alias, then the model.")
    ] = field(default_factory=dict)


def key_names(provider: ProviderConfig) -> tuple[str, ...]:
    """The variables that hold its keys; none where it needs none."""
    return provider.key_envs or (() if provider.key_env is None else (provider.key_env,))


def host(provider: ProviderConfig, key: str | None, base_url: str | None = None) -> Host:
    """What the provider's adapter is made from. ``base_url`` is for an address that is known only at run time: the
    embedded model's, or that of the process which runs litellm; the latter is told where the provider itself is."""
    through = private(provider.provider, provider.base_url) if provider.adapter == "litellm" else {}
    return Host(
        base_url=base_url or provider.base_url or BASE_URLS.get(provider.adapter, ""),
        key=key,
        engine=provider.engine,
        auth=provider.auth,
        headers=provider.headers | through,
        query=provider.query,
        max_n=provider.max_n,
        max_tokens_field=provider.max_tokens_field,
        stream_usage=provider.stream_usage,
        done_marker=provider.done_marker,
        guided=provider.guided,
        demo=provider.embedded,
    )
