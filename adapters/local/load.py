"""How busy an inference server says it is, in the metrics that it shows to Prometheus.

Names differ between versions, so several are known for each figure. What is not there is unknown, which is not zero.
"""

from msgspec import Struct


class Load(Struct, frozen=True):
    """Requests at work, requests waiting, and the part of the cache for prompts (KV) that is in use, from 0 to 1. None
    is unknown."""

    running: float | None = None
    waiting: float | None = None
    cache_use: float | None = None
