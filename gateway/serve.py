"""Runs the gateway: first start, the embedded model's process, uvicorn's workers, and the words on the screen."""

import logging
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import uvicorn

from gateway import banner, keys
from gateway.app import EMBEDDED_SOCKET
from gateway.children import Child
from gateway.config import Config
from gateway.protocol import Protocol
from gateway.settings import Settings

log = logging.getLogger("gateway.serve")

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
BACKLOG = 2048
STARTING = 10.0
"""Seconds that the embedded model gets to start; the others do not wait for it longer."""


def serve(config: Config, settings: Settings) -> None:
    """Serves until told to stop."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log a line, with the address, for each call
    fresh = keys.bootstrap(Path(settings.state_dir), settings.bootstrap_key)
    with embedded_model(config):
        threading.Thread(target=banner.when_ready, args=(config, settings, fresh), daemon=True).start()
        uvicorn.run(
            "gateway.app:create",
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            http=Protocol,
            loop="uvloop",
            ws="none",
            lifespan="on",
            backlog=BACKLOG,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            log_level="warning",
            timeout_graceful_shutdown=30,
        )


@contextmanager
def embedded_model(config: Config) -> Iterator[None]:
    """Runs the embedded model beside us if a provider asks for it; workers find its socket in the environment."""
    if not any(provider.embedded for provider in config.providers.values()):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="gateway-") as folder:  # short: a socket's path has 107 bytes
        socket = os.path.join(folder, "demo.sock")
        child = Child("the embedded model", [sys.executable, "-m", "gateway.embedded", "--socket", socket])
        os.environ[EMBEDDED_SOCKET] = f"http+unix://{quote(socket, safe='')}"
        child.start()
        try:
            child.wait_ready(STARTING)
            yield
        finally:
            child.stop()
