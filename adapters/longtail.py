"""``litellm``: providers without an adapter of their own, reached through the process that runs litellm for us.

That process (``gateway.longtail``) speaks the OpenAI wire on a unix socket; which provider is meant, its key and its
address travel beside the body, in headers that no caller can write.
"""

from adapters.openai import OpenAI
from adapters.types import Host

PROVIDER = "x-litellm-provider"
KEY = "x-litellm-key"
BASE = "x-litellm-base"


def private(provider: str | None, base: str | None) -> dict[str, str]:
    """The headers that say which provider is meant, and where it is if not at its own address."""
    return {name: value for name, value in ((PROVIDER, provider), (BASE, base)) if value is not None}


class LongTail(OpenAI):
    """Asks for one choice of one text a request: most of these providers have no ``n``, and litellm would make one
    conversation of several prompts."""

    takes: frozenset[str] = frozenset()
    max_n: int | None = 1
    chat_limit = "max_tokens"

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        lines = [("content-type", "application/json"), *host.headers.items()]
        if host.key is not None:
            lines.append((KEY, host.key))
        self._headers = tuple(lines)
