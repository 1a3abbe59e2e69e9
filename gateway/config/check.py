"""What types cannot say: references between entries, fields that go together, values that would do harm."""

import re
from collections.abc import Callable, Iterator
from datetime import date
from itertools import count, takewhile
from typing import Any, get_args

from msgspec import Struct

from adapters import ADAPTERS
from adapters.types import Mode
from gateway.bearer.settings import JwtSettings, unusable
from gateway.config import address
from gateway.config.convert import Reading
from gateway.config.model import (
    BASE_URLS,
    AllLimits,
    BreakerConfig,
    Config,
    Engine,
    LimitsConfig,
    ModelConfig,
    Price,
    ProviderConfig,
    RetryConfig,
    TargetConfig,
    host,
    legal_model_name,
)
from gateway.config.problems import Path, hint, shown
from gateway.prices.dollars import nano_dollars, nano_per_million
from gateway.upstream.types import Timeouts

Found = Iterator[tuple[Path, str]]

DAY = 86_400

MOST_DOLLARS = 10**9

MOST_OF_REQUEST = 1_000
"""Dollars for one request beyond which a price is taken for a slip."""

NAMING = "is not a name for a model (1 to 256 letters, digits, and . _ : / @ + -; no '..' or empty part)"

_PROVIDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LITELLM_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[!-~]([ \t!-~]*[!-~])?|")

# How the keys of well-known providers begin.
_SECRET = re.compile(
    r"(sk|pk|rk|xai|nvapi|pplx)-.+|(sk|gsk|hf|fw|r8|key)_.{16,}|(AIza|AKIA|eyJ).{8,}|(Bearer|Basic)\s.*"
)
# What no variable is called: long, in one piece, with digits and small letters.
_KEY_LIKE = re.compile(r"(?=.*[0-9])(?=.*[a-z])[0-9A-Za-z-]{20,}")
SECRET_WORDS = frozenset(
    {"accesskey", "accesstoken", "apikey", "auth", "authorization", "cookie", "credential", "credentials", "jwt", "key"}
    | {"passwd", "password", "secret", "sig", "signature", "token"}
)

OWN_HEADERS = frozenset(
    {"accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host"}
    | {"keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""What the client itself writes; a second one would break the request, or the connection for the next."""

NOT_THROUGH_LITELLM = ("auth", "ca_file", "client", "done_marker", "headers", "query", "stream_usage")
"""Fields that say how we ask a provider, which here we do not."""


def check(config: Reading) -> Found:
    """Every mistake beyond the types, of all that could be read."""
    for path, value in config.structs.items():
        for rule in RULES.get(type(value), ()):
            yield from rule(value, path, config)


def sections(value: Config, path: Path, config: Reading) -> Found:
    models = config.names("models")
    if not models:
        yield ("models",), "at least one model is needed"
    for provider in config.names("providers"):
        if not _PROVIDER_NAME.fullmatch(provider):
            yield ("providers", provider), "is not a name for a provider (1 to 64 letters, digits, and . _ -)"
    for section in ("models", "aliases"):
        for name in config.names(section):
            if not legal_model_name(name):
                yield (section, name), NAMING


def default_model(value: Config, path: Path, config: Reading) -> Found:
    name, known = value.defaults.model, [*config.names("models"), *config.names("aliases")]
    if name is not None and name not in known:
        yield ("defaults", "model"), f"no model '{shown(name)}' {hint(name, known)}"


def jwt(value: JwtSettings, path: Path, config: Reading) -> Found:
    if (wrong := unusable(value)) is not None:
        yield (*path, "jwks"), wrong.removeprefix("jwks: ")
    for name in ("audience", "algorithms"):
        if not getattr(value, name) and (*path, name, 0) not in config.lines:
            yield (*path, name), "at least one is needed"
    if value.teams is not None and not value.teams:
        yield (*path, "teams"), "names no team, so that no token would be accepted (leave it out, or name some)"


def aliases(value: Config, path: Path, config: Reading) -> Found:
    models = config.names("models")
    for alias, name in value.aliases.items():
        at = ("aliases", alias)
        if alias in models:
            yield at, "is also the name of a model (a name means one thing: drop one of the two)"
        elif name == alias:
            yield at, "points at itself (an alias points at a model)"
        elif name in config.names("aliases") and name not in models:
            yield at, f"points at the alias '{shown(name)}' (an alias points at a model)"
        elif name not in models:
            yield at, f"no model '{shown(name)}' {hint(name, models)}"


def engine(value: ProviderConfig, path: Path, config: Reading) -> Found:
    at = (*path, "engine")
    if value.adapter == "local" and value.engine is None:
        yield at, f"is missing (adapter local needs one of: {', '.join(get_args(Engine))})"
    elif value.adapter != "local" and value.engine is not None:
        yield at, f"is only for adapter local, and this is {value.adapter} (leave it out)"


def typed_path(value: ProviderConfig, path: Path, config: Reading) -> Found:
    yield from held_by(value.typed_path, value.adapter, (*path, "typed_path"))


def target_typed_path(value: TargetConfig, path: Path, config: Reading) -> Found:
    provider = config.structs.get(("providers", value.provider))
    if isinstance(provider, ProviderConfig):
        yield from held_by(value.typed_path, provider.adapter, (*path, "typed_path"))


def held_by(asked: str | None, adapter: str, at: Path) -> Found:
    own = "guided" if adapter == "local" else "native"
    if asked in ("native", "guided") and asked != own:
        yield at, f"is {asked}, which adapter {adapter} has no way for ({own}, json_mode or prompted)"


def through_litellm(value: ProviderConfig, path: Path, config: Reading) -> Found:
    at = (*path, "provider")
    if value.adapter != "litellm":
        if value.provider is not None:
            yield at, f"is only for adapter litellm, and this is {value.adapter} (leave it out)"
        return
    if value.provider is None:
        yield at, "is missing (adapter litellm needs its name of the provider, like anthropic)"
    elif not _LITELLM_NAME.fullmatch(value.provider):
        yield at, "is not litellm's name of a provider (small letters, digits, _ and -, like anthropic)"
    for name in NOT_THROUGH_LITELLM:
        if (*path, name) in config.lines:
            yield (*path, name), "is not for adapter litellm, which asks the provider in its own way (leave it out)"


def guided(value: ProviderConfig, path: Path, config: Reading) -> Found:
    if value.guided != "structured_outputs" and value.engine != "vllm":
        yield (*path, "guided"), "is only for engine vllm (leave it out)"


def base_url(value: ProviderConfig, path: Path, config: Reading) -> Found:
    at = (*path, "base_url")
    if value.base_url is None:
        if not value.embedded and value.adapter not in (*BASE_URLS, "litellm"):
            yield at, f"is missing (adapter {value.adapter} has none of its own)"
        return
    wrong = address.complaint(value.base_url)
    if wrong is not None:
        yield at, wrong
    elif value.ca_file is not None and not value.base_url.startswith("https:"):
        yield (*path, "ca_file"), "is of no use with http:// (write https:// or leave it out)"


def key(value: ProviderConfig, path: Path, config: Reading) -> Found:
    if value.key_env is not None:
        yield from variable(value.key_env, (*path, "key_env"))
    for i, name in enumerate(value.key_envs):
        yield from variable(name, (*path, "key_envs", i))
        if name in value.key_envs[:i]:
            yield (*path, "key_envs", i), "is named twice (each key counts once)"
    if value.key_env is not None and value.key_envs:
        yield (*path, "key_envs"), "stands beside key_env (name all keys in one of the two)"


def variable(name: str, at: Path) -> Found:
    if _SECRET.fullmatch(name) or _KEY_LIKE.fullmatch(name):
        yield at, "looks like a key itself (put that into the environment or .env, and its variable's name here)"
    elif not _VARIABLE.fullmatch(name):
        yield at, "is not the name of an environment variable (letters, digits and _, like OPENAI_API_KEY)"
    elif name.upper().startswith("GATEWAY_"):
        yield at, "is one of the gateway's own settings, which no provider must see (use another variable)"


def headers(value: ProviderConfig, path: Path, config: Reading) -> Found:
    seen: set[str] = set()
    for name, text in value.headers.items():
        at, lower = (*path, "headers", name), name.lower()
        if not _HEADER_NAME.fullmatch(name):
            yield at, "is not the name of a header (letters, digits and -)"
        elif lower in OWN_HEADERS:
            yield at, "is written by the gateway itself (leave it out)"
        elif is_secret(name, text):
            yield at, "looks like a secret (key_env names the variable of the key, auth says how it is sent)"
        elif lower in seen:
            yield at, "is given twice (upper and lower case are the same)"
        elif not _HEADER_VALUE.fullmatch(text):
            yield at, "must be one line of printable ASCII, without spaces around it"
        seen.add(lower)


def query(value: ProviderConfig, path: Path, config: Reading) -> Found:
    for name, text in value.query.items():
        if is_secret(name, text):
            yield (*path, "query", name), "looks like a secret (addresses end up in logs: use key_env)"


def embedded(value: ProviderConfig, path: Path, config: Reading) -> Found:
    if not value.embedded:
        return
    for name, right in (("adapter", "local"), ("engine", "llama.cpp")):
        if getattr(value, name) != right:
            yield (*path, name), f"must be {right} for the embedded model"
    for name in ("base_url", "key_env", "key_envs", "ca_file"):
        if getattr(value, name):
            yield (*path, name), "is not for the embedded model, which the gateway runs itself (leave it out)"


def queue(value: ProviderConfig, path: Path, config: Reading) -> Found:
    at = (*path, "queue")
    if at in config.lines and (*path, "concurrency") not in config.lines:
        yield at, "is only for providers with concurrency (say how many calls it takes at once)"


def reroutes(value: ModelConfig, path: Path, config: Reading) -> Found:
    known = config.names("models")
    for field in ("on_too_long", "on_filtered"):
        for i, name in enumerate(getattr(value, field)):
            at = (*path, field, i)
            if name not in known and name in config.names("aliases"):
                yield at, f"'{shown(name)}' is an alias (name the model that it stands for)"
            elif name not in known:
                yield at, f"no model '{shown(name)}' {hint(name, known)}"
            elif name == path[-1]:
                yield at, "is this very model (name others)"


def breaker(value: BreakerConfig, path: Path, config: Reading) -> Found:
    if value.most_pause < value.pause:
        yield (
            (*path, "most_pause"),
            f"is {value.most_pause:g} s, which is shorter than pause ({value.pause:g} s): both are needed then",
        )


def retry(value: RetryConfig, path: Path, config: Reading) -> Found:
    if value.most < value.base:
        yield (
            (*path, "most"),
            f"is {value.most:g} s, which is shorter than base ({value.base:g} s): both are needed then",
        )


def timeouts(value: Timeouts, path: Path, config: Reading) -> Found:
    for name in value.__struct_fields__:
        if not 0 < getattr(value, name) <= DAY:
            yield (*path, name), f"must be more than 0 and at most {DAY} seconds"


def targets(value: ModelConfig, path: Path, config: Reading) -> Found:
    at = (*path, "targets")
    if (*at, 0) not in config.lines:
        yield at, "at least one target is needed"
    elif value.targets and all(target.fallback for target in value.targets):
        yield at, "all are fallbacks (one must be asked first)"
    first: dict[tuple[object, ...], int] = {}
    for i in takewhile(lambda i: (*at, i) in config.lines, count()):
        target = config.structs.get((*at, i))
        if isinstance(target, TargetConfig):
            same = first.setdefault((target.provider, target.model, target.mode), i)
            if same != i:
                yield (*at, i), f"is the same as targets[{same}] (give that one more weight instead)"


def target_model(value: TargetConfig, path: Path, config: Reading) -> Found:
    if not legal_model_name(value.model):
        yield (*path, "model"), NAMING


def target_provider(value: TargetConfig, path: Path, config: Reading) -> Found:
    known = config.names("providers")
    if value.provider not in known:
        yield (*path, "provider"), f"no provider '{shown(value.provider)}' {hint(value.provider, known)}"


def target_mode(value: TargetConfig, path: Path, config: Reading) -> Found:
    provider = config.structs.get(("providers", value.provider))
    if value.mode is None or not isinstance(provider, ProviderConfig):
        return
    modes = modes_of(provider)
    if modes and value.mode not in modes:
        yield (*path, "mode"), f"{value.provider} cannot be asked that way (only: {', '.join(modes)})"


def whole_nano_dollars(value: LimitsConfig, path: Path, config: Reading) -> Found:
    for name in ("usd_per_day", "usd_per_month", "soft_usd_per_day", "soft_usd_per_month"):
        dollars = getattr(value, name)
        if dollars is not None:
            try:
                nano_dollars(dollars, MOST_DOLLARS)
            except ValueError as exc:
                yield (*path, name), str(exc)


def soft_below_hard(value: LimitsConfig, path: Path, config: Reading) -> Found:
    for period in ("day", "month"):
        soft, hard = getattr(value, f"soft_usd_per_{period}"), getattr(value, f"usd_per_{period}")
        if soft is not None and hard is not None and soft >= hard:
            yield (*path, f"soft_usd_per_{period}"), f"must be less than usd_per_{period}, or nobody is ever warned"


def limited_names(value: AllLimits, path: Path, config: Reading) -> Found:
    models = config.names("models")
    for name in value.models:
        if name not in models:
            yield (*path, "models", name), f"no model '{shown(name)}' {hint(name, models)}"
    for name in value.users:
        if not all(name.partition("/")):
            yield (*path, "users", name), "is not of the form team/user"


def target_prices(value: TargetConfig, path: Path, config: Reading) -> Found:
    if value.price is not None and value.prices:
        yield (*path, "prices"), "cannot be given beside price (put all into prices, with since)"
    days = [price.since for price in value.prices]
    for i, day in enumerate(days):
        if day in days[:i]:
            yield (*path, "prices", i, "since"), "is the same as in an entry before it"


def price(value: Price, path: Path, config: Reading) -> Found:
    for name in ("input", "cached", "cache_write", "output", "reasoning"):
        dollars = getattr(value, name)
        if dollars is not None:
            try:
                nano_per_million(dollars)
            except ValueError as exc:
                yield (*path, name), str(exc)
    if value.request is not None:
        try:
            nano_dollars(value.request, MOST_OF_REQUEST)
        except ValueError as exc:
            yield (*path, "request"), str(exc)
    if value.since is not None and not is_day(value.since):
        yield (*path, "since"), "must be a day, like 2027-01-01"


def is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def modes_of(provider: ProviderConfig) -> tuple[Mode, ...]:
    """How the provider's adapter can be asked. Empty while the entry itself is wrong."""
    if provider.adapter == "local" and provider.engine is None:
        return ()
    return ADAPTERS[provider.adapter](host(provider, None, "http://localhost")).modes


def is_secret(name: str, value: str) -> bool:
    """Whether a header or parameter looks like one that lets somebody in."""
    words = re.split(r"[^a-z]+", name.lower())
    return not SECRET_WORDS.isdisjoint(words) or _SECRET.fullmatch(value) is not None


Rule = Callable[[Any, Path, Reading], Found]

RULES: dict[type[Struct], tuple[Rule, ...]] = {
    Config: (sections, default_model, aliases),
    ProviderConfig: (engine, guided, typed_path, through_litellm, base_url, key, headers, query, embedded, queue),
    Timeouts: (timeouts,),
    ModelConfig: (targets, reroutes),
    BreakerConfig: (breaker,),
    RetryConfig: (retry,),
    TargetConfig: (target_provider, target_model, target_mode, target_typed_path, target_prices),
    Price: (price,),
    JwtSettings: (jwt,),
    LimitsConfig: (whole_nano_dollars, soft_below_hard),
    AllLimits: (limited_names,),
}
