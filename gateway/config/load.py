"""``routing.yaml`` to a Config, or to everything that is wrong with it; and what is right but hardly meant."""

from collections.abc import Callable, Iterable, Mapping

from gateway.config.check import check
from gateway.config.convert import Reading
from gateway.config.document import compose
from gateway.config.model import Config, key_names
from gateway.config.problems import ConfigError, Path, Problem

Beyond = Callable[[Config], Iterable[tuple[Path, str]]]
"""Finds mistakes that only the machine can tell: where each stands, and what is wrong."""


def load(text: str | bytes, filename: str = "routing.yaml", beyond: Beyond | None = None) -> Config:
    """Raises ConfigError with every mistake in the order of the file; ``filename`` is only named there. ``beyond`` is
    asked once there is no other mistake."""
    root = compose(text, filename)
    if root is None:
        raise ConfigError([Problem(filename, 1, "", "the file is empty (it needs providers and models)")])
    reading = Reading(filename)
    config: Config = reading.value(root, Config, (), root.start_mark.line + 1)
    for path, message in check(reading):
        reading.complain(path, message)
    if beyond is not None and not reading.wrong:
        for path, message in beyond(config):
            reading.complain(path, message)
    if reading.wrong:
        raise ConfigError(reading.problems())
    return config


def warnings(config: Config, environ: Mapping[str, str]) -> list[str]:
    """What works otherwise than the file may lead to believe: one line for each model that is not offered, since no
    provider of its targets has its key."""
    unset = {
        name: names
        for name, provider in config.providers.items()
        if (names := key_names(provider)) and not any(map(environ.get, names))
    }
    return [
        f"models.{name}: not offered: {listed(one for target in model.targets for one in unset[target.provider])}"
        for name, model in config.models.items()
        if all(target.provider in unset for target in model.targets)
    ]


def listed(variables: Iterable[str]) -> str:
    """The variables of which one would do, each once."""
    *others, last = dict.fromkeys(variables)
    return f"none of {', '.join(others)} and {last} is set" if others else f"{last} is not set"
