"""What only this machine can tell of a configuration: whether the files that it names can be had here."""

from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.config import Config

Wrong = tuple[tuple[str | int, ...], str]
"""Where in the file something stands that this machine cannot do, and why."""


def uncounted(config: Config, have: Callable[[str], object]) -> Iterator[Wrong]:
    """Every tokenizer that ``have`` cannot load here. Each is tried once."""
    wrong: dict[str, str | None] = {}
    for name, model in config.models.items():
        for place, target in enumerate(model.targets):
            spec = target.tokenizer
            if spec is None:
                continue
            if spec not in wrong:
                wrong[spec] = unreadable(spec, have)
            if (why := wrong[spec]) is not None:
                yield ("models", name, "targets", place, "tokenizer"), why


def keyless(config: Config) -> Iterator[Wrong]:
    """An issuer's keys that are to come from a file which cannot be read. A gateway starts nevertheless, and looks
    again: the file may be put there later."""
    if config.jwt is None or config.jwt.remote:
        return
    try:
        Path(config.jwt.jwks).read_bytes()
    except OSError as error:
        yield ("jwt", "jwks"), f"{config.jwt.jwks} cannot be read: {(error.strerror or str(error)).lower()}"


def unreadable(spec: str, have: Callable[[str], object]) -> str | None:
    from gateway.estimates import TokenizerError  # few need it, and it takes a while

    try:
        have(spec)
    except TokenizerError as error:
        return str(error)
    return None
