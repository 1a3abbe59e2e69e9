"""Keys: made once, kept as hashes, and nobody comes in without one."""

import multiprocessing
import re
from pathlib import Path

import pytest

from gateway.errors import Unauthenticated
from gateway.keys import FILE, Keys, KeysError, bootstrap, load, new_key, record


def test_a_key_is_made_once_and_kept_as_a_hash(tmp_path: Path) -> None:
    state = tmp_path / "var"
    key = bootstrap(state, None)
    assert key is not None and re.fullmatch(r"sk-gw-[A-Za-z0-9]{12}-[A-Za-z0-9_-]{43}", key)
    assert bootstrap(state, None) is None
    kept = (state / FILE).read_text()
    assert key not in kept and key[19:] not in kept and key[6:18] in kept
    assert (state / FILE).stat().st_mode & 0o777 == 0o600
    assert Keys(load(state)).team(f"Bearer {key}".encode()).name == "default"


def test_a_chosen_key_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    made = bootstrap(tmp_path, None)
    for chosen in ("first" * 8, "other" * 8, "other" * 8):
        assert bootstrap(tmp_path, chosen) is None
    keys = Keys(load(tmp_path))
    assert len(load(tmp_path)) == 2
    assert keys.team(f"Bearer {made}".encode()) == keys.team(b"Bearer " + b"other" * 8)
    with pytest.raises(Unauthenticated):
        keys.team(b"Bearer " + b"first" * 8)


@pytest.mark.parametrize(
    "header",
    [None, b"", b"Bearer", b"Bearer ", b"Basic abc", b"sk-gw-x", b"Bearer \xff\xfe", b"Bearer " + b"x" * 100_000],
)
def test_nobody_comes_in_without_a_key(header: bytes | None) -> None:
    with pytest.raises(Unauthenticated):
        Keys([record(new_key(), "default")]).team(header)


def test_the_scheme_may_be_written_in_any_case() -> None:
    key = new_key()
    assert Keys([record(key, "a")]).team(f"bearer  {key} ".encode()).name == "a"


def start(state: Path, made: "multiprocessing.Queue[str | None]") -> None:
    made.put(bootstrap(state, None))


def test_of_two_first_starts_at_once_one_makes_the_key(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    made: multiprocessing.Queue[str | None] = spawn.Queue()
    starts = [spawn.Process(target=start, args=(tmp_path, made)) for _ in range(4)]
    for process in starts:
        process.start()
    keys = [made.get(timeout=20) for _ in starts]
    for process in starts:
        process.join()
    [key] = [key for key in keys if key is not None]
    assert Keys(load(tmp_path)).team(f"Bearer {key}".encode()).name == "default"


@pytest.mark.parametrize(
    "damaged", [b"{bad", b"{}", b"[1]", b'[{"digest": "xyz", "public": "a", "team": "b"}]', b"\xff"]
)
def test_a_damaged_file_is_named(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / FILE).write_bytes(damaged)
    with pytest.raises(KeysError, match="keys.json is damaged"):
        bootstrap(tmp_path, None)
