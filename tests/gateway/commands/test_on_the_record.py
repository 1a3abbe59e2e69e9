"""Commands on the record itself: a state directory, or a database of every kind that this machine has."""

import asyncio
import os
import pty
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from gateway.ledger.entry import Entry
from gateway.store.sql.engine import Database
from gateway.store.sql.ledger import LedgerStore
from tests.gateway.commands.conftest import MAIN
from tests.gateway.commands.test_commands import refused, said
from tests.servers.records import empty_url, kind

__all__ = ["empty_url", "kind"]

Direct = Callable[..., Result]

ROUTING = """
providers: {p: {adapter: gpt}}
models: {m: {targets: [{provider: p, model: a}]}}
limits: {key: {rpm: 90}}
"""


@pytest.fixture
def direct(empty_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Direct:
    monkeypatch.chdir(tmp_path)
    Path("routing.yaml").write_text(ROUTING)
    return lambda *words: CliRunner().invoke(MAIN, [*words, "--database-url", empty_url], prog_name="gateway")


def entry(number: int, **more: Any) -> Entry:
    values: dict[str, Any] = dict.fromkeys(Entry.__struct_fields__, 0) | {
        "id": f"{number:032d}", "at": 1_796_054_400_000_000, "request": "r", "team": "t", "key": "k", "user": "",
        "model": "a", "target": "p/a", "outcome": "ok", "requests": 1, "calls": 1, "input": 10, "output": 5,
        "cost": 1_000_000_001, "estimated": False, "first_token": None,
    }  # fmt: skip
    return Entry(**(values | more))


def test_all_of_it(direct: Direct, empty_url: str) -> None:
    """On a database in which nothing is yet."""
    said(direct("teams", "create", "t", "--budget-usd", "12.5", "--models", "a,b/*", "--json"))
    made = said(direct("keys", "create", "--team", "t", "--name", "ci", "--rpm", "3", "--expires", "90d", "--json"))
    assert made["key"].startswith(f"sk-gw-{made['id']}-")
    assert said(direct("keys", "rotate", made["id"], "--grace", "1h", "--json"))["grace"] is not None
    assert said(direct("keys", "disable", made["id"], "--json"))["state"] == "disabled"
    assert said(direct("keys", "enable", made["id"], "--json"))["state"] == "active"
    assert said(direct("keys", "update", made["id"], "--name", "", "--expires", "never", "--json"))["expires"] is None
    assert said(direct("teams", "update", "t", "--models", "all", "--json"))["models"] is None
    said(direct("limits", "set", "user", "t/ann", "--concurrent", "2", "--tpm", "unlimited", "--json"))
    found = {(one["scope"], one["subject"]): one["limits"] for one in said(direct("limits", "list", "--json"))}
    assert found == {
        ("team", "t"): {"usd_per_month": 12.5},
        ("key", made["id"]): {"rpm": 3},
        ("user", "t/ann"): {"concurrent": 2, "tpm": "unlimited"},
        ("key", "*"): {"rpm": 90},
    }
    Path("routing.yaml").unlink()
    without = direct("limits", "list")
    assert "the limits that routing.yaml sets are not shown: no such file" in without.stderr
    assert "90" not in without.stdout
    assert "2 concurrent, unlimited tpm" in direct("limits", "list").stdout
    said(direct("limits", "clear", "user", "t/ann", "--json"))
    assert said(direct("keys", "revoke", made["id"], "--json"))["state"] == "revoked"
    said(direct("admins", "create", "ann", "--role", "owner", "--json"))
    log = said(direct("audit", "log", "--json"))
    assert [(line["action"], line["kind"]) for line in log[::-1]] == [
        ("create", "team"), ("create", "key"), ("rotate", "key"), ("change", "key"), ("change", "key"),
        ("change", "key"), ("change", "team"), ("set", "limits"), ("clear", "limits"),
        ("revoke", "key"), ("create", "admin"),
    ]  # fmt: skip
    team = log[-1]
    assert log[4]["before"]["models"] == ["a", "b/*"]
    assert team["actor"].startswith("cli:") and team["after"]["limits"] == {"usd_per_month": 12.5}
    assert made["key"] not in msgspec.json.encode(log).decode()
    assert "limits: {" in direct("audit", "log").stdout
    assert said(direct("audit", "--json"))["drifts"] == []

    async def spend() -> None:
        database = Database(empty_url)
        await LedgerStore(database).write([entry(1), entry(2, model="b", cost=None), entry(3, input=7)])
        await database.close()

    asyncio.run(spend())
    rows = said(direct("usage", "--team", "t", "--since", "2026-01-01", "--by", "model,day", "--json"))
    assert [(row["model"], row["day"], row["requests"], row["input_tokens"], row["output_tokens"]) for row in rows] == [
        ("a", "2026-11-30", 2, 17, 10),
        ("b", "2026-11-30", 1, 10, 5),
    ]
    assert [row["cost_usd"] for row in rows] == [2.000000002, None]
    assert "2.000000002" in direct("usage", "--since", "2026-01-01", "--by", "model").stdout
    assert said(direct("audit", "--json"))["entries"] == 3


def test_drift_is_found_and_repaired(tmp_path: Path) -> None:
    def state(*words: str) -> Result:
        return CliRunner().invoke(MAIN, [*words, "--state-dir", str(tmp_path)], prog_name="gateway")

    assert state("teams", "create", "t").exit_code == 0
    fine = state("audit")
    assert fine.exit_code == 0
    for what in ("counters:        ", "in flight:       ", "waiting for SQL: "):
        assert f"{what}not looked at" in fine.stdout
    as_json = said(state("audit", "--json"))
    unknown = ("counters", "in_flight_usd", "in_flight_tokens", "spooled")
    assert [as_json[name] for name in unknown] == [None] * 4

    async def spend() -> None:
        database = Database(f"sqlite+aiosqlite:///{tmp_path}/record.sqlite3")
        await LedgerStore(database).write([entry(1)])
        await database.close()

    asyncio.run(spend())
    with sqlite3.connect(tmp_path / "record.sqlite3") as connection:
        connection.execute("UPDATE usage_hours SET cost = cost + 1")
    connection.close()
    found = state("audit", "--json")
    assert found.exit_code == 1
    assert "usage_hours.cost" in [drift["what"] for drift in msgspec.json.decode(found.stdout)["drifts"]]
    assert "usage_hours.cost" in state("audit").stdout
    assert state("audit", "--repair").exit_code == 0
    assert said(state("audit", "--json"))["drifts"] == []


def test_a_record_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In another directory everything would look empty: what only reads makes no record, and what makes one says so."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "deep" / "record.sqlite3"
    for where in (("--state-dir", "deep"), ("--database-url", "sqlite:///deep/record.sqlite3")):
        for words in (
            ("teams", "list"), ("teams", "show", "t"), ("keys", "list"), ("keys", "show", "k"), ("limits", "list"),
            ("admins", "list"), ("usage",), ("audit",), ("audit", "--repair"), ("audit", "log"),
        ):  # fmt: skip
            sentence = refused(CliRunner().invoke(MAIN, [*words, *where], prog_name="gateway"))
            assert sentence.startswith("there is no record at deep/record.sqlite3; ")
            assert all(word in sentence for word in ("GATEWAY_STATE_DIR", "--state-dir", "--url"))
    assert not file.parent.exists()
    made = CliRunner().invoke(MAIN, ["teams", "create", "t", *where], prog_name="gateway")
    assert made.exit_code == 0 and made.stderr == "note: made a new record at deep/record.sqlite3\n"
    assert file.exists() and CliRunner().invoke(MAIN, ["teams", "create", "u", *where]).stderr == ""


def test_what_the_record_refuses_is_not_half_kept(direct: Direct) -> None:
    said(direct("teams", "create", "t", "--budget-usd", "5", "--json"))
    before = said(direct("audit", "log", "--json"))
    many = [word for number in range(10_000) for word in ("--tag", str(number))]
    for words, sentence in (
        (("teams", "create", "t"), "there is a team 't' already"),
        (("teams", "create", "x'; DROP TABLE teams; --"), "name must be 1 to 64 letters"),
        (("teams", "create", "x", *many), "tags holds 10000 entries"),
        (("teams", "create", "x", "--rpm", "0"), "--rpm must be above 0"),
        (("teams", "create", "x", "--budget-usd", "0"), "--budget-usd must be above 0"),
        (("teams", "create", "x", "--models", "a\r\nb"), "models must be names"),
        (("keys", "create", "--team", "x"), "there is no team 'x'"),
        (
            ("keys", "create", "--team", "t", "--expires", "2020-01-01"),
            "expires lies in the past: 2020-01-01T00:00:00Z",
        ),
        (("keys", "create", "--team", "t", "--expires", "0d"), "expires lies in the past: "),
        (("limits", "set", "key", "x", "--rpm", "1"), "there is no key 'x'"),
        (("limits", "set", "user", "ann", "--rpm", "1"), "subject must be team/user"),
        (("limits", "set", "team", "t", "--soft-budget-usd", "6"), "soft_usd_per_month must not be above"),
        (("admins", "create", "ann; rm -rf", "--role", "owner"), "name must be"),
        (("admins", "revoke", "none"), "there is no admin key 'none'"),
    ):
        assert sentence in refused(direct(*words))
    assert said(direct("audit", "log", "--json")) == before
    assert [team["name"] for team in said(direct("teams", "list", "--json"))] == ["t"]


def test_databases_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("no database, but long enough to look like one" * 40)
    for words, sentence in (
        (("--database-url", "postgresql://ann:hunter2@127.0.0.1:9/record"), "cannot be opened"),
        (
            ("--database-url", "mysql://ann:hunter2@x/y"),
            "GATEWAY_DATABASE_URL: must begin with sqlite:// or postgresql",
        ),
        (("--database-url", "sqlite:///file"), "file"),
        (("--database-url", "sqlite:////dev/null/x"), "cannot be opened"),
        (("--state-dir", "file"), "file"),
    ):
        for more in ((), ("--json",)):
            result = CliRunner().invoke(MAIN, ["teams", "list", *words, *more], prog_name="gateway")
            assert result.exit_code == 1 and result.stdout == "", result.output
            assert sentence in result.stderr and result.stderr.count("\n") == 1
            assert "hunter2" not in result.output


def test_a_locked_database_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.store.sql import engine

    words = ["teams", "create", "t", "--state-dir", str(tmp_path)]
    assert CliRunner().invoke(MAIN, ["teams", "create", "u", *words[3:]]).exit_code == 0
    monkeypatch.setattr(engine, "BUSY_MS", 50)
    holder = sqlite3.connect(tmp_path / "record.sqlite3", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        assert "database is locked" in refused(CliRunner().invoke(MAIN, words))
    finally:
        holder.close()
    assert CliRunner().invoke(MAIN, words).exit_code == 0


def test_the_environment_says_where(tmp_path: Path) -> None:
    """As a process of its own; what it makes there is its owner's alone."""
    environ = {**os.environ, "GATEWAY_STATE_DIR": str(tmp_path / "deep" / "er"), "PYTHONPATH": os.getcwd()}
    program = (
        "from click import Group; from gateway.commands import COMMANDS; "
        "Group('gateway', commands={c.name: c for c in COMMANDS})()"
    )
    made = subprocess.run(
        [sys.executable, "-c", program, "teams", "create", "t", "--json"],
        env=environ, cwd=tmp_path, capture_output=True, check=True,
    )  # fmt: skip
    assert msgspec.json.decode(made.stdout)["name"] == "t" and made.stderr == b""
    file = tmp_path / "deep" / "er" / "record.sqlite3"
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("setting", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_on_a_terminal(tmp_path: Path, setting: dict[str, str], coloured: bool) -> None:
    words = ["teams", "create", "t", "--state-dir", str(tmp_path)]
    assert CliRunner().invoke(MAIN, words).exit_code == 0
    environ = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    environ |= {"TERM": "xterm-256color", "COLUMNS": "60", "PYTHONPATH": os.getcwd(), **setting}
    parent, child = pty.openpty()
    program = "from gateway.commands.teams import teams; teams()"
    subprocess.run(
        [sys.executable, "-c", program, "list", *words[3:]], env=environ, cwd=tmp_path, stdout=child, check=True
    )
    os.close(child)
    shown = os.read(parent, 10_000)
    os.close(parent)
    assert (b"\x1b[32mactive" in shown) is coloured and b"active" in shown


def test_settings_that_are_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("GATEWAY_PORT=http\nGATEWAY_ADMIN_KEY=short\n")
    result = CliRunner().invoke(MAIN, ["teams", "list"])
    assert "GATEWAY_PORT: must be" in refused(result) and "GATEWAY_ADMIN_KEY: is too short" in result.stderr
