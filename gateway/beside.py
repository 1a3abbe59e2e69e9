"""The process that runs litellm, for the providers that are reached through it: started when one of them is needed."""

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote

from gateway.census import Census
from gateway.children import Child
from gateway.config import Config, ProviderConfig, key_names
from gateway.settings import Settings

log = logging.getLogger("gateway.beside")

LONGTAIL_SOCKET = "GATEWAY_LONGTAIL_SOCKET"
"""Where the process that runs litellm listens; set by ``serve`` for its workers."""

STARTING = 30.0
"""Seconds that litellm gets to start: importing it takes three of them, or many on a busy machine."""

INHERITED = frozenset(
    {"HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "TMPDIR", "TZ", "USER"}
    | {"ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "all_proxy", "https_proxy", "http_proxy", "no_proxy"}
    | {"CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"}
)
CLOUDS = ("AWS_", "AZURE_", "CLOUDSDK_", "DATABRICKS_", "GOOGLE_", "LC_", "OCI_", "VERTEXAI_", "VERTEX_", "WATSONX_")
"""How the variables begin by which clouds say who we are, where that is more than one key, and in which region."""


@contextmanager
def long_tail(config: Config, settings: Settings, census: Census) -> Iterator[None]:
    """Runs litellm beside us if a provider is reached through it; workers find its socket in the environment."""
    if not any(is_needed(provider, settings.environ) for provider in config.providers.values()):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="gateway-") as folder:  # for this user alone; and a short path
        path = os.path.join(folder, "litellm.sock")
        command = [settings.litellm_python, "-m", "gateway.longtail", "--socket", path]
        child = Child("litellm", command, environment(settings.environ), census.member("litellm"))
        try:
            child.start()
            if child.wait_ready(STARTING):
                os.environ[LONGTAIL_SOCKET] = f"http+unix://{quote(path, safe='')}"
        except OSError as error:
            log.error("GATEWAY_LITELLM_PYTHON: %s cannot be run: %s", settings.litellm_python, error.strerror)
        try:
            yield
        finally:
            os.environ.pop(LONGTAIL_SOCKET, None)
            child.stop()


def is_needed(provider: ProviderConfig, environ: Mapping[str, str]) -> bool:
    """Whether it takes litellm to ask this provider, and nothing else is missing."""
    names = key_names(provider)
    return provider.adapter == "litellm" and (not names or any(map(environ.get, names)))


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What litellm's process is told of ours. Keys go to it with each call, by the provider that they are for: it would
    take others, and its own settings, from wherever it finds them."""
    return {
        name: value
        for name, value in environ.items()
        if name in INHERITED or (name.startswith(CLOUDS) and not name.endswith("_API_KEY"))
    }
