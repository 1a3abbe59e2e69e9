"""Serves a GGUF model by llama.cpp on a unix socket, for as long as the parent lives.

Standard input is the tie to the parent: its end means that the parent is gone, however it died. One JSON line
on standard output says that the server is ready; what is wrong goes to standard error, and the exit code is 1.
"""

import argparse
import contextlib
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import NoReturn, Protocol

import msgspec

from gateway.embedded import CONTEXT, MODEL_FILE, SLOTS

LONGEST_PATH = 107  # bytes of a unix socket's address
ASK_HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
PAUSE = 0.005  # seconds between two questions


class Ready(msgspec.Struct):
    """The line on standard output. `context` is that of one slot."""

    url: str
    model: str
    slots: int
    context: int


class Server(Protocol):
    """What is used of llama.cpp's server: it runs for as long as this object is kept."""

    @property
    def listening_address(self) -> str: ...


class Unusable(Exception):
    """The server cannot start; the text says what to do about it."""


def main(arguments: list[str] | None = None) -> NoReturn:
    options = parse(arguments)
    wake = watch_signals()
    try:
        check(options)
        server = start(options)
    except Unusable as error:
        sys.stderr.write(f"gateway.embedded: {error}\n")
        sys.exit(1)
    await_health(options.socket, wake)
    ready = Ready(server.listening_address, options.model.stem, options.slots, options.context)
    with contextlib.suppress(BrokenPipeError):  # a dead parent shows at standard input, too
        sys.stdout.buffer.write(msgspec.json.encode(ready) + b"\n")
        sys.stdout.buffer.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # llama.cpp repeats callers' grammars there
    while not ended(wake, None):
        pass
    stop(options.socket)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m gateway.embedded", description="Serve a GGUF model by llama.cpp.")
    parser.add_argument("--socket", type=Path, required=True, help="unix socket to listen on; ends in .sock")
    parser.add_argument("--model", type=Path, default=MODEL_FILE, help="GGUF file (default: the demo model)")
    parser.add_argument("--slots", type=positive, default=SLOTS, help="completions at the same time")
    parser.add_argument("--context", type=positive, default=CONTEXT, help="tokens for each slot")
    parser.add_argument("--threads", type=positive, default=1, help="computing threads")
    return parser.parse_args(arguments)


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def watch_signals() -> int:
    """A descriptor that becomes readable when SIGTERM or SIGINT arrives, also while the model loads."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return reader


def check(options: argparse.Namespace) -> None:
    """What llama.cpp would not report, or only as "failed to init"."""
    path: Path = options.socket
    if path.suffix != ".sock":
        raise Unusable(f"the socket {path} must end in .sock, or llama.cpp takes it for a host name")
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise Unusable(f"the socket {path} is longer than {LONGEST_PATH} bytes")
    if not path.parent.is_dir():
        raise Unusable(f"there is no directory {path.parent} for the socket")
    if not options.model.is_file():
        raise Unusable(f"there is no model file {options.model}")
    discard_stale(path)


def discard_stale(path: Path) -> None:
    """Removes the socket of a server that was killed, but never one that somebody still listens on."""
    if not path.exists():
        return
    if not path.is_socket():
        raise Unusable(f"{path} exists and is not a socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise Unusable(f"the socket {path} cannot be taken over: {error.strerror}") from error
    raise Unusable(f"another server listens on {path}")


def start(options: argparse.Namespace) -> Server:
    """Loads the model and listens; the first answers may still be "503 Loading model"."""
    try:
        import xllamacpp
    except ImportError as error:
        raise Unusable(f"xllamacpp cannot be imported ({error}): pip install 'llm-gateway[demo]'") from error
    params = xllamacpp.CommonParams()
    params.model.path = os.fspath(options.model)
    params.model_alias = {options.model.stem}
    params.hostnames = [os.fspath(options.socket)]
    params.n_parallel = options.slots
    params.n_ctx = options.slots * options.context  # llama.cpp divides it among the slots
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.cache_ram_mib = 0  # its store of old prompts would grow to 8 GiB
    params.endpoint_metrics = True
    params.fit_params = False
    params.offline = True
    params.ui = False
    params.verbosity = 0
    os.umask(0o077)  # the socket is for this user alone
    try:
        server: Server = xllamacpp.Server(params)
    except RuntimeError as error:
        raise Unusable(f"llama.cpp cannot serve {options.model}: {error}") from error
    return server


def await_health(path: Path, wake: int) -> None:
    """Returns when the server answers 200, or when it is no longer wanted."""
    while not ended(wake, 0.0):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            probe.connect(os.fspath(path))
            probe.sendall(ASK_HEALTH)
            if probe.recv(64).startswith(b"HTTP/1.1 200 "):
                return
        time.sleep(PAUSE)


def ended(wake: int, patience: float | None) -> bool:
    """Whether a signal came or standard input ended; what the parent writes there means nothing.

    `patience` None waits until something is to be read.
    """
    readable, _, _ = select.select([0, wake], [], [], patience)
    return wake in readable or (0 in readable and not os.read(0, 4096))


def stop(path: Path) -> NoReturn:
    """Leaves without a farewell: llama.cpp's own stop waits for as long as any client stays silent."""
    path.unlink(missing_ok=True)
    os._exit(0)


if __name__ == "__main__":
    main()
