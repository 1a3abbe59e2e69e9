"""Settings as the tests use them: the shapes of the policies' protocols."""

from msgspec import Struct


class Patience(Struct, frozen=True):
    failures: int = 5
    ratio: float = 0.5
    least: int = 20
    window: float = 30.0
    pause: float = 5.0
    most_pause: float = 60.0


class Retrying(Struct, frozen=True):
    share: float = 0.1
    floor: float = 1.0
