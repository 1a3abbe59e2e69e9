"""How busy an inference server says it is, in the metrics that it shows to Prometheus.

Names differ between versions, so several are known for each figure, the newest first. What is not there is unknown,
which is not zero. (https://prometheus.io/docs/instrumenting/exposition_formats/)
"""

import re
from collections.abc import Iterator
from math import fsum, isfinite

from msgspec import Struct, structs

from adapters.openai import headers, url
from adapters.types import Endpoint, Host


class Load(Struct, frozen=True):
    """Requests at work, requests waiting, and the part of the cache for prompts (KV) that is in use, from 0 to 1. None
    is unknown."""

    running: float | None = None
    waiting: float | None = None
    cache_use: float | None = None


class Names(Struct, frozen=True):
    """What an engine calls the figures, with ``_`` for every ``:``."""

    running: tuple[str, ...]
    waiting: tuple[str, ...]
    cache_use: tuple[str, ...] = ()


PATH = "/metrics"

NAMES: dict[str, Names] = {
    "vllm": Names(
        ("vllm_num_requests_running",),
        ("vllm_num_requests_waiting",),
        ("vllm_kv_cache_usage_perc", "vllm_gpu_cache_usage_perc"),
    ),
    "sglang": Names(("sglang_num_running_reqs",), ("sglang_num_queue_reqs",), ("sglang_token_usage",)),
    "llama.cpp": Names(
        ("llamacpp_requests_processing",), ("llamacpp_requests_deferred",), ("llamacpp_kv_cache_usage_ratio",)
    ),
    "tgi": Names(("tgi_batch_current_size",), ("tgi_queue_size",)),
}
"""Engines that have such metrics; Ollama has none."""


def load_path(engine: str | None) -> str | None:
    """Where the engine shows its metrics, from the server's root; None if nowhere."""
    return PATH if engine in NAMES else None


def load_endpoint(host: Host) -> Endpoint | None:
    """Where to ask how busy a host is, with its key, since llama.cpp wants it there too; None if its engine does not
    say."""
    path = load_path(host.engine)
    if path is None or host.demo:
        return None
    root = structs.replace(host, base_url=host.base_url.rstrip("/").removesuffix("/v1"))
    return Endpoint(url(root, path, ""), headers(host))


def load_of(engine: str | None, text: str) -> Load | None:
    """What the text says, each figure summed over its labels (but the use of several caches is their mean). None if it
    says nothing that is known of this engine."""
    names = NAMES.get(engine or "")
    if names is None:
        return None
    found: dict[str, list[float]] = {}
    for name, value in samples(PATTERNS[engine or ""], text):
        found.setdefault(name, []).append(value)
    load = Load(
        count(first(found, names.running)), count(first(found, names.waiting)), part(first(found, names.cache_use))
    )
    return None if load == UNKNOWN else load


UNKNOWN = Load()


def samples(pattern: re.Pattern[str], text: str) -> Iterator[tuple[str, float]]:
    """Every sample that the pattern finds, by its name with ``_`` for ``:``."""
    for match in pattern.finditer(text):
        name, value = match.groups()
        yield name.replace(":", "_"), number(value)


def pattern(names: Names) -> re.Pattern[str]:
    """Finds lines such as ``name{label="a \\" b"} 1.5e3 1700000000``. Comments begin with ``#``, so they are none. No
    part can be read in two ways, so it takes time by the text's length, whatever the text."""
    known = "|".join([name.replace("_", "[:_]") for name in (*names.running, *names.waiting, *names.cache_use)])
    labels = r'\{(?:[^"}\n]|"(?:[^"\\\n]|\\[^\n])*")*\}[ \t]*+'
    return re.compile(rf"^[ \t]*+({known})(?:[ \t]*+{labels}|[ \t]++)([^\s{{]++)(?=\s|\Z)", re.MULTILINE)


PATTERNS = {engine: pattern(names) for engine, names in NAMES.items()}

NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def number(text: str) -> float:
    """Not a number is also what cannot be read as one."""
    return float(text) if NUMBER.fullmatch(text) else float("nan")


def first(found: dict[str, list[float]], names: tuple[str, ...]) -> list[float]:
    """The samples of the first name that has any: two spellings of one figure must not be added up."""
    return next((found[name] for name in names if name in found), [])


def count(values: list[float]) -> float | None:
    total = fsum(values) if all_finite(values) else -1.0
    return total if values and 0 <= total < float("inf") else None


def part(values: list[float]) -> float | None:
    mean = fsum(values) / len(values) if values and all_finite(values) else -1.0
    return mean if 0 <= mean <= 1 else None


LARGEST = 1e15
"""No engine has so many requests."""


def all_finite(values: list[float]) -> bool:
    """A figure of which a part is unknown is unknown."""
    return all(isfinite(value) and abs(value) <= LARGEST for value in values)
