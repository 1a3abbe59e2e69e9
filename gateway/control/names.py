"""What names, lists and times may be. Each of these returns what it was given, or raises ControlError."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from gateway.control.types import ControlError, Metadata

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MODEL = re.compile(r"[A-Za-z0-9@~][A-Za-z0-9@~._:/+-]{0,255}")
PATTERN = re.compile(r"[A-Za-z0-9@~*][A-Za-z0-9@~._:/+*-]{0,255}")

MOST_MODELS = 1_000
MOST_TAGS = 64
MOST_PAIRS = 64
LONGEST_TAG = 64
LONGEST_VALUE = 512
LONGEST_USER = 128
LAST = 253_402_300_799
"""The end of the year 9999."""


def invalid(message: str, field: str) -> ControlError:
    return ControlError("invalid", message, field)


def shown(text: object) -> str:
    """Whatever it is, as a short piece of a sentence: nothing in it does anything where it is shown."""
    plain = ascii(text)
    return plain if len(plain) <= 80 else f"{plain[:76]}...{plain[0]}"


def name(given: str, field: str = "name") -> str:
    if not isinstance(given, str) or NAME.fullmatch(given) is None:
        rule = "1 to 64 letters, digits, '.', '_' and '-', and begin with a letter or a digit"
        raise invalid(f"{field} must be {rule}, which {shown(given)} is not", field)
    return given


def is_name(given: object) -> bool:
    """Whether there can be anything of this name at all."""
    return isinstance(given, str) and NAME.fullmatch(given) is not None


def model(given: str, field: str = "subject") -> str:
    if not isinstance(given, str) or MODEL.fullmatch(given) is None:
        raise invalid(f"{field} must be the name of a model, which {shown(given)} is not", field)
    return given


def user(given: str, field: str = "subject") -> str:
    if not (0 < len(given) <= LONGEST_USER and given.isprintable()):
        raise invalid(f"{field} must be team/user, where user is 1 to {LONGEST_USER} printable characters", field)
    return given


def models(given: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """An allow-list: None allows all models, an empty one none."""
    if given is None:
        return None
    if len(given) > MOST_MODELS:
        raise invalid(f"models holds {len(given)} entries; at most {MOST_MODELS} are allowed", "models")
    for pattern in given:
        if not isinstance(pattern, str) or PATTERN.fullmatch(pattern) is None:
            rule = "names of models of at most 256 characters, where * stands for any characters"
            raise invalid(f"models must be {rule}, which {shown(pattern)} is not", "models")
    return tuple(dict.fromkeys(given))


def tags(given: tuple[str, ...]) -> tuple[str, ...]:
    if len(given) > MOST_TAGS:
        raise invalid(f"tags holds {len(given)} entries; at most {MOST_TAGS} are allowed", "tags")
    for tag in given:
        if not is_text(tag, LONGEST_TAG) or not tag:
            raise invalid(
                f"tags must be 1 to {LONGEST_TAG} printable characters each, which {shown(tag)} is not", "tags"
            )
    return tuple(dict.fromkeys(given))


def metadata(given: Mapping[str, str] | None) -> Metadata:
    given = given or {}
    if len(given) > MOST_PAIRS:
        raise invalid(f"metadata holds {len(given)} pairs; at most {MOST_PAIRS} are allowed", "metadata")
    for key, value in given.items():
        if not is_text(key, LONGEST_TAG) or not key:
            rule = f"names must be 1 to {LONGEST_TAG} printable characters each"
            raise invalid(f"metadata's {rule}, which {shown(key)} is not", "metadata")
        if not is_text(value, LONGEST_VALUE):
            rule = f"must be text of at most {LONGEST_VALUE} printable characters"
            raise invalid(f"metadata's value of {shown(key)} {rule}", "metadata")
    return dict(given)


def is_text(given: object, most: int) -> bool:
    return isinstance(given, str) and len(given) <= most and given.isprintable()


def expires(given: int | None, now: int) -> int | None:
    if given is None:
        return None
    if not is_whole(given) or given > LAST:
        raise invalid(
            f"expires must be whole seconds since 1970, not after the year 9999: not {shown(given)}", "expires"
        )
    if given <= now:
        when = "it would be over at once" if given == now else date(given)
        raise invalid(f"expires lies in the past: {when}", "expires")
    return given


def date(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}" if at >= 0 else "before 1970"


def is_whole(given: object) -> bool:
    return isinstance(given, int) and not isinstance(given, bool)


def chosen_secret(given: str, field: str) -> str:
    """A key that an operator has chosen."""
    if len(given) < 32 or not given.isascii() or not given.isprintable() or " " in given:
        raise invalid(f"{field} must be at least 32 printable ASCII characters without spaces", field)
    if len(given) > 512:
        raise invalid(f"{field} must be at most 512 characters", field)
    return given
