"""Serves litellm on a unix socket, for as long as the parent lives.

Standard input is the tie to the parent: its end means that the parent is gone, however it died. One JSON line on
standard output says that the server is ready; what is wrong goes to standard error, and the exit code is 1.
"""

import argparse
import contextlib
import importlib
import logging
import os
import socket
import sys
import threading
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import msgspec

from gateway.longtail.serving import Serving

LONGEST_PATH = 107  # bytes of a unix socket's address

QUIET: Mapping[str, str] = {
    # Prices and lists of beta headers are read from the package, not fetched from the net.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # Without this it reads a .env file, whose keys are not meant for it.
    "LITELLM_MODE": "PRODUCTION",
    # Images are not fetched: where this process connects is not for a caller to say.
    "MAX_IMAGE_URL_DOWNLOAD_SIZE_MB": "0",
}
"""What litellm must find in the environment when it is imported."""


class Ready(msgspec.Struct):
    """The line on standard output."""

    url: str
    litellm: str


class Unusable(Exception):
    """The server cannot start; the text says what to do about it."""


def main(arguments: list[str] | None = None) -> NoReturn:
    options = parse(arguments)
    tie_to_parent(options.socket)
    try:
        listening = listen(options.socket)
        litellm = load()
        uvicorn = importlib.import_module("uvicorn")
    except Unusable as error:
        sys.stderr.write(f"gateway.longtail: {error}\n")
        sys.exit(1)
    say = quieten()
    ready = Ready(f"unix://{options.socket}", version())
    serve(uvicorn, Serving(litellm, say), listening, ready, options.socket)
    leave(options.socket)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m gateway.longtail", description="Serve litellm on a unix socket.")
    parser.add_argument("--socket", type=Path, required=True, help="unix socket to listen on")
    return parser.parse_args(arguments)


def tie_to_parent(path: Path) -> None:
    """Leaves when standard input ends, also while litellm is still being imported."""

    def watch() -> NoReturn:
        while os.read(0, 4096):
            pass
        leave(path)

    threading.Thread(target=watch, daemon=True).start()


def listen(path: Path) -> socket.socket:
    """A socket for this user alone. One that a killed predecessor has left is replaced."""
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise Unusable(f"the socket {path} is longer than {LONGEST_PATH} bytes")
    if not path.parent.is_dir():
        raise Unusable(f"there is no directory {path.parent} for the socket")
    if path.is_socket():
        path.unlink()
    elif path.exists():
        raise Unusable(f"{path} exists and is not a socket")
    listening = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listening.bind(os.fspath(path))
    finally:
        os.umask(before)
    return listening


def load() -> Any:
    """litellm, imported and told to keep to itself."""
    os.environ.update(QUIET)
    try:
        litellm: Any = importlib.import_module("litellm")
    except ImportError as error:
        raise Unusable(
            f"litellm cannot be imported ({error}): run `make litellm` and set GATEWAY_LITELLM_PYTHON="
            ".venv-litellm/bin/python, or pip install 'llm-gateway[litellm]'"
        ) from error
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    litellm.drop_params = False
    litellm.num_retries = 0
    # Usage is what the provider reports. litellm's own count would look just the same.
    litellm.disable_token_counter = True
    litellm.disable_hf_tokenizer_download = True
    return litellm


def version() -> str:
    return importlib.import_module("importlib.metadata").version("litellm")  # type: ignore[no-any-return]


def quieten() -> Any:
    """Closes standard error to litellm and all that it brings: their logs and tracebacks quote prompts and keys.

    Returns what writes a line of our own there.
    """
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    own = os.fdopen(os.dup(2), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return lambda line: own.write(f"gateway.longtail: {line}\n")


def serve(uvicorn: Any, app: Serving, listening: socket.socket, ready: Ready, path: Path) -> None:
    """Serves until a signal ends it."""

    class Server(uvicorn.Server):  # type: ignore[misc]
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            with contextlib.suppress(BrokenPipeError):  # a dead parent shows at standard input, too
                sys.stdout.buffer.write(msgspec.json.encode(ready) + b"\n")
                sys.stdout.buffer.flush()

        def handle_exit(self, number: int, frame: FrameType | None) -> NoReturn:
            leave(path)

    config = uvicorn.Config(
        app,
        loop="asyncio",  # what a call costs is litellm's; uvloop would change nothing
        lifespan="off",
        log_config=None,
        access_log=False,
        ws="none",
        timeout_keep_alive=75,
    )
    Server(config).run(sockets=[listening])


def leave(path: Path) -> NoReturn:
    """Without a farewell: whoever still waits for an answer sees the connection close, and so does the provider."""
    if path.is_socket():
        path.unlink(missing_ok=True)
    os._exit(0)


if __name__ == "__main__":
    main()
