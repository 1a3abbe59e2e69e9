"""Regular expressions of callers, run on texts of models: in time linear in the text, whatever the pattern.

The engine is Rust's ``regex`` with ECMA-262's meaning of ``\\d``, ``\\w`` and ``$``
(https://docs.rs/regex/latest/regex/#untrusted-input). It has no look-around and no back-references.
"""

from collections.abc import Callable

from jsonschema_rs import Draft202012Validator, RegexOptions

from gateway.constraints.problems import ConstraintError, cut

MAX_PATTERN = 16 * 1024
"""Characters."""

LINEAR = RegexOptions(size_limit=1 << 20, dfa_size_limit=1 << 20)
"""Bytes that one compiled pattern, and its automaton while it runs, may take."""


def whole_match(pattern: str) -> Callable[[str], bool]:
    """Tells whether a whole text matches. Anchors at the pattern's ends are allowed and change nothing."""
    if len(pattern) > MAX_PATTERN:
        raise ConstraintError(f"the pattern is longer than {MAX_PATTERN} characters")
    compiled(pattern, pattern)  # by itself: within the group below, "a)(b" would be one
    return compiled(f"^(?:{pattern})$", pattern).is_valid


def compiled(pattern: str, written: str) -> Draft202012Validator:
    try:
        return Draft202012Validator({"pattern": pattern}, pattern_options=LINEAR, offline=True)
    except ValueError:
        raise ConstraintError(
            f"the pattern {cut(written)} cannot be used: it is malformed, too large, or has look-around or "
            "back-references, which linear matching does not have"
        ) from None


def stripped(pattern: str) -> str:
    """Without the anchors at its ends, which some engines refuse."""
    bare = pattern.removeprefix("^")
    without = bare.removesuffix("$")
    escapes = len(without) - len(without.rstrip("\\"))
    return bare if escapes % 2 else without
