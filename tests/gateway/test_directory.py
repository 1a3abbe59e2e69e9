"""The directory: who may ask what, as the record has it over what is configured."""

import math
from hashlib import sha256

import pytest

from gateway.directory import READY, UNLIMITED, Defaults, Directory, allowed, over
from gateway.limits.types import Limits, Scope, Subject
from gateway.store.sql.rows import AdminRow, LimitsRow, SecretRow, TeamRow


def digest(key: str) -> bytes:
    return sha256(key.encode()).digest()


def secret(key: str, **more: object) -> SecretRow:
    fields: dict[str, object] = {"key": key, "team": "red", "expires": None, "dead": False, "models": None}
    return SecretRow(digest(key), **{**fields, **more})  # type: ignore[arg-type]


def loaded(*secrets: SecretRow, defaults: Defaults | None = None, limits: tuple[LimitsRow, ...] = ()) -> Directory:
    directory = Directory(defaults or Defaults())
    teams = [TeamRow("red", False, None), TeamRow("blue", False, ("b*",))]
    directory.load(teams, {one.digest: one for one in secrets}, limits, [])
    return directory


def limited(directory: Directory, scope: Scope, subject: str, limits: Limits | None) -> None:
    directory.change([], [], [LimitsRow(scope, subject, limits)], [])


def test_a_key_is_found_by_its_digest() -> None:
    caller = loaded(secret("k1", expires=123)).caller(digest("k1"))
    assert caller is not None
    assert (caller.team, caller.key, caller.expires, caller.may, caller.limited) == ("red", "k1", 123, None, ())


def test_no_date_is_for_ever() -> None:
    caller = loaded(secret("k1")).caller(digest("k1"))
    assert caller is not None and caller.expires == math.inf


@pytest.mark.parametrize("row", [secret("k", dead=True), secret("k", team="gone")])
def test_keys_that_may_not_be_used_are_nobodys(row: SecretRow) -> None:
    assert loaded(row).caller(digest("k")) is None


def test_a_disabled_team_disables_its_keys_and_tokens_at_once() -> None:
    directory = loaded(secret("k"))
    assert directory.caller(digest("k")) and directory.team("red", "ann", 9)
    directory.change([TeamRow("red", True, None)], [], [], [])
    assert directory.caller(digest("k")) is None and directory.team("red", "ann", 9) is None


def test_a_changed_key_takes_the_place_of_what_was_known() -> None:
    directory = loaded(secret("k"))
    assert directory.caller(digest("k"))
    directory.change([], [secret("k", dead=True)], [], [])
    assert directory.caller(digest("k")) is None


def test_both_allow_lists_must_allow() -> None:
    caller = loaded(secret("k", team="blue", models=("*1",))).caller(digest("k"))
    assert caller is not None and caller.may is not None
    assert [name for name in ("b1", "b2", "c1") if caller.may(name)] == ["b1"]


@pytest.mark.parametrize(
    ("patterns", "name", "may"),
    [
        (None, "x", None),
        ((), "x", False),
        (("gpt-4.1",), "gpt-4.1", True),
        (("gpt-4.1",), "gpt-4x1", False),
        (("b/*",), "b/c/d", True),
        (("b/*",), "a/b/c", False),
        (("*",), "any", True),
        (("a", "b"), "b", True),
        (("a|b",), "a", False),
    ],
)
def test_allow_lists(patterns: tuple[str, ...] | None, name: str, may: bool | None) -> None:
    found = allowed(patterns)
    assert (found is None) if may is None else (found is not None and found(name) is may)


def test_limits_are_taken_one_by_one_from_the_nearest_who_says_something() -> None:
    defaults = Defaults({"team": Limits(rpm=10, tpm=100)}, {("team", "red"): Limits(rpm=20)})
    override = LimitsRow("team", "red", Limits(tpm=UNLIMITED, concurrent=3))
    directory = loaded(defaults=defaults, limits=(override,))
    assert directory.limits("team", "red") == Limits(rpm=20, concurrent=3)
    assert directory.limits("team", "blue") == Limits(rpm=10, tpm=100)
    limited(directory, "team", "red", None)
    assert directory.limits("team", "red") == Limits(rpm=20, tpm=100)


def test_who_has_limits_is_listed_with_the_caller() -> None:
    defaults = Defaults({"key": Limits(rpm=1), "organisation": Limits(tpm=5)})
    caller = loaded(secret("k"), defaults=defaults).caller(digest("k"))
    assert caller is not None
    assert caller.limited == ((Subject("organisation"), Limits(tpm=5)), (Subject("key", "k"), Limits(rpm=1)))


def test_only_where_somebody_is_limited_so_are_users_and_models() -> None:
    directory = loaded()
    assert not directory.users_limited and not directory.models_limited
    limited(directory, "user", "red/ann", Limits(rpm=1))
    limited(directory, "model", "m", Limits(rpm=1))
    assert directory.users_limited and directory.models_limited
    assert directory.limited("user", "red/ann") and not directory.limited("user", "red/bob")


def test_new_defaults_hold_at_once() -> None:
    directory = loaded(secret("k"))
    directory.caller(digest("k"))
    directory.configure(Defaults({"key": Limits(rpm=7)}))
    caller = directory.caller(digest("k"))
    assert caller is not None and caller.limited == ((Subject("key", "k"), Limits(rpm=7)),)


def test_what_is_kept_ready_is_bounded() -> None:
    directory = loaded()
    for i in range(READY + 10):
        directory.limited("user", f"red/{i}")
    assert len(directory._limited) <= READY


def test_nothing_said_changes_nothing() -> None:
    assert over(Limits(), Limits(rpm=3)) == Limits(rpm=3)


def test_an_admin_key_that_is_replaced_or_revoked_opens_nothing() -> None:
    directory = loaded()
    first, second = (AdminRow(digest(key), "a1", "ann", "owner", None, False) for key in ("one", "two"))
    directory.change([], [], [], [first])
    assert directory.admin(digest("one")) == first
    directory.change([], [], [], [second])
    assert directory.admin(digest("one")) is None and directory.admin(digest("two")) == second
    directory.change([], [], [], [AdminRow(digest("two"), "a1", "ann", "owner", None, True)])
    assert directory.admin(digest("two")) is None


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("gpt-*", ("gpt-", "gpt-4.1", "gpt-\n"), ("gpt", "a-gpt-4")),
        ("*-8b", ("-8b", "llama-8b"), ("llama-8b-x",)),
        ("a*b*c", ("abc", "a-b-c", "abbc", "abcbc"), ("ac", "acb", "ab", "abcd")),
        ("ab*ba", ("abba", "ab-ba"), ("aba", "ab")),
        ("*", ("", "anything"), ()),
        ("**x**", ("x", "axb"), ("", "y")),
        ("a.c", ("a.c",), ("abc",)),
    ],
)
def test_patterns(pattern: str, good: tuple[str, ...], bad: tuple[str, ...]) -> None:
    may = allowed((pattern,))
    assert may is not None
    assert [name for name in good if not may(name)] == [] and [name for name in bad if may(name)] == []


def test_no_pattern_takes_long() -> None:
    may = allowed(("*" * 200 + "zz", "*a" * 100 + "z"))
    assert may is not None and not may("fallback" * 32) and not may("a" * 256)


def test_who_may_be_limited() -> None:
    defaults = Defaults(
        every={"organisation": Limits(rpm=1), "team": Limits(rpm=9), "key": Limits(), "user": Limits()},
        named={("team", "red"): Limits(rpm=2), ("model", "m"): Limits(tpm=5)},
    )
    directory = loaded(defaults=defaults)
    assert directory.may_be_limited() == {"organisation": None, "team": None, "model": frozenset({"m"})}
    limited(directory, "user", "red/ann", Limits(rpm=1))
    limited(directory, "model", "n", Limits(rpm=UNLIMITED))
    assert directory.may_be_limited()["user"] == frozenset({"red/ann"})
    assert directory.may_be_limited()["model"] == frozenset({"m", "n"})
    limited(directory, "user", "red/ann", None)
    assert "user" not in directory.may_be_limited()
