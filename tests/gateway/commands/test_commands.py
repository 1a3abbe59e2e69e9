"""Every command, on a running gateway."""

import subprocess
import sys
from typing import Any

import msgspec
import pytest
from click.testing import Result

from gateway.caching.store import Held
from gateway.control.types import Drift, LogView, UsageQuery
from gateway.limits.types import Limits
from tests.gateway.adminapi.memory import NOW
from tests.gateway.adminapi.plane import ADMIN, Plane
from tests.gateway.adminapi.test_routes import row
from tests.gateway.commands.conftest import Run


def said(result: Result) -> Any:
    """What a program reads: JSON and nothing else."""
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    return msgspec.json.decode(result.stdout)


def refused(result: Result) -> str:
    """The one sentence on stderr."""
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1 and result.stderr.startswith("error: ")
    return result.stderr[7:-1]


def test_teams(run: Run, plane: Plane) -> None:
    words = ("--models", "a, b/*", "--tag", "x", "--tag", "y", "--meta", "cc=1=2", "--tpd", "10", "--budget-usd", "0.1")
    made = said(run("teams", "create", "search", *words, "--json"))
    assert made["models"] == ["a", "b/*"] and made["tags"] == ["x", "y"] and made["metadata"] == {"cc": "1=2"}
    assert plane.memory.teams["search"].limits == Limits(tpd=10, usd_month=10**8)
    assert said(run("teams", "list", "--json")) == [made] == [said(run("teams", "show", "search", "--json"))]
    assert said(run("teams", "disable", "search", "--json"))["disabled"] is True
    assert "state:    disabled" in run("teams", "show", "search").stdout
    assert said(run("teams", "enable", "search", "--json"))["disabled"] is False
    run("teams", "create", "a-team-of-a-longer-name")
    lines = run("teams", "list").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["team", "state"],
        ["search", "active"],
        ["a-team-of-a-longer-name", "active"],
    ]
    assert len({line.index(word) for line, word in zip(lines, ("state", "active", "active"), strict=True)}) == 1
    assert "10 tokens/day, $0.1/month" in lines[1]


def test_keys(run: Run, plane: Plane) -> None:
    run("teams", "create", "t")
    made = said(run("keys", "create", "--team", "t", "--name", "ci", "--rpm", "5", "--expires", "2099-01-01", "--json"))
    assert made == {"key": made["key"], "id": made["id"], "team": "t", "name": "ci", "expires": "2099-01-01T00:00:00Z",
                    "grace": None}  # fmt: skip
    id = made["id"]
    assert said(run("keys", "list", "--team", "t", "--json")) == [said(run("keys", "show", id, "--json"))]
    rotated = said(run("keys", "rotate", id, "--grace", "1h", "--json"))
    assert rotated["id"] == id and rotated["key"] != made["key"]
    assert plane.memory.keys[id].grace == NOW + 3600
    assert said(run("keys", "disable", id, "--json"))["state"] == "disabled"
    assert said(run("keys", "enable", id, "--json"))["state"] == "active"
    assert said(run("keys", "revoke", id, "--json"))["state"] == "revoked"
    shown = run("keys", "create", "--team", "t").stdout
    assert "only time that the key is shown" in shown and "key:  sk-gw-key000000002-secret" in shown
    listed = run("keys", "list").stdout
    assert "secret" not in listed and "revoked" in listed and "key000000002" in listed
    assert "\x1b" not in listed  # no colours where there is no terminal


def test_cache(run: Run, plane: Plane) -> None:
    assert run("cache", "stats").stdout == "no kept answers\n"
    plane.memory.held = [
        Held(team="t", model="a", entries=2, bytes=900),
        Held(team="t", model="b/c", entries=1, bytes=123_456),
        Held(team="u", model="a", entries=12, bytes=99_960_000),
    ]
    assert [line.split() for line in run("cache", "stats").stdout.splitlines()] == [
        ["team", "model", "answers", "size"],
        ["t", "a", "2", "900", "B"],
        ["t", "b/c", "1", "123.5", "kB"],
        ["u", "a", "12", "100.0", "MB"],
        ["all", "15", "100.1", "MB"],
    ]
    assert said(run("cache", "stats", "--team", "u", "--json")) == [
        {"team": "u", "model": "a", "entries": 12, "bytes": 99_960_000}
    ]
    assert run("cache", "purge", "--model", "b/c").stdout == "1 kept answer is gone\n"
    assert said(run("cache", "purge", "--team", "t", "--json")) == {"team": "t", "model": None, "entries": 2}
    assert "no team" in refused(run("cache", "purge", "--team", ""))
    assert run("cache", "purge").stdout == "12 kept answers are gone\n"
    assert plane.memory.held == []


def test_what_is_said_of_a_team_and_of_a_key_is_changed(run: Run, plane: Plane) -> None:
    """What is not given stays, and there is a word for taking each away."""
    about = ("--models", "a", "--tag", "x", "--meta", "k=v")
    run("teams", "create", "t", *about)
    changed = said(run("teams", "update", "t", "--models", "b, c/*", "--tag", "y", "--tag", "z", "--json"))
    assert (changed["models"], changed["tags"], changed["metadata"]) == (["b", "c/*"], ["y", "z"], {"k": "v"})
    assert "metadata: w=1" in run("teams", "update", "t", "--meta", "w=1").stdout
    changed = said(run("teams", "update", "t", "--models", "all", "--tag", "", "--meta", "", "--json"))
    assert (changed["models"], changed["tags"], changed["metadata"]) == (None, [], {})
    id = said(run("keys", "create", "--team", "t", "--name", "ci", "--expires", "2099-01-01", *about, "--json"))["id"]
    changed = said(run("keys", "update", id, "--name", "app", "--json"))
    assert (changed["name"], changed["models"], changed["expires"]) == ("app", ["a"], "2099-01-01T00:00:00Z")
    changed = said(run("keys", "update", id, "--name", "", "--expires", "never", "--models", "", "--json"))
    assert (changed["name"], changed["models"], changed["expires"], changed["tags"]) == ("", [], None, ["x"])
    assert said(run("keys", "update", id, "--expires", "2098-01-01", "--json"))["expires"] == "2098-01-01T00:00:00Z"
    said(run("keys", "create", "--team", "t", "--models", "all", "--expires", "never", "--json"))
    assert [(key.models, key.expires) for key in plane.memory.keys.values()][1] == (None, None)


def test_limits(run: Run, plane: Plane) -> None:
    words = ("--rpm", "5", "--soft-budget-usd", "1.5", "--budget-usd", "$2", "--period", "day")
    view = said(run("limits", "set", "user", "t/ann?x", *words, "--json"))
    assert view["limits"] == {"rpm": 5, "usd_per_day": 2, "soft_usd_per_day": 1.5}
    assert plane.memory.limits["user", "t/ann?x"] == Limits(rpm=5, usd_day=2 * 10**9, soft_usd_day=15 * 10**8)
    assert said(run("limits", "set", "organisation", "--tpm", "7", "--json"))["subject"] == ""
    assert said(run("limits", "set", "user", "t/ann?x", "--rpm", "none", "--json"))["limits"].get("rpm") is None
    assert len(said(run("limits", "list", "--json"))) == 2
    assert "$2/day, $1.5/day (warn)" in run("limits", "list").stdout
    assert "go by routing.yaml again" in run("limits", "clear", "user", "t/ann?x").stdout
    assert said(run("limits", "clear", "organisation", "--json"))["cleared"] is True
    assert run("limits", "list").stdout == "no limits\n"


def test_usage(run: Run, plane: Plane) -> None:
    plane.memory.rows = [
        row(model="a", day="2026-11-30", requests=2, input_tokens=1_000, cost_nano=1_000_000_001),
        row(model="-1+cmd", day="2026-11-30", requests=1, unpriced=1),
    ]
    told = said(run("usage", "--team", "t", "--since", "2026-01-01", "--by", "model,day", "--json"))
    assert plane.memory.queries[-1] == UsageQuery(since=1_767_225_600, by=("model", "day"), team="t")
    assert [(one["requests"], one["input_tokens"], one["cost_usd"]) for one in told] == [
        (2, 1000, 1.000000001),
        (1, 0, None),
    ]
    assert said(run("usage", "--by", "model,day", "--format", "json")) == told
    table = run("usage", "--by", "model,day").stdout.splitlines()
    assert table[0].split()[:3] == ["model", "day", "requests"] and "1.000000001" in table[1]
    assert table[2].split()[-3] == "?"
    csv = run("usage", "--by", "model,day", "--format", "csv")
    assert csv.stdout_bytes.split(b"\r\n")[2].startswith(b"'-1+cmd,2026-11-30,1,")
    plane.memory.rows = []
    assert run("usage").stdout == "no usage in this time\n"
    assert said(run("usage", "--json")) == []


def test_audit(run: Run, plane: Plane) -> None:
    assert said(run("audit", "--json"))["drifts"] == []
    plane.memory.drifts = (Drift(what="usd_day", subject="team t", expected=5, found=4),)
    drifting = run("audit")
    assert drifting.exit_code == 1 and "drift:           1" in drifting.stdout and "usd_day" in drifting.stdout
    assert run("audit", "--repair").exit_code == 0
    json = run("audit", "--json")
    assert json.exit_code == 1 and msgspec.json.decode(json.stdout)["drifts"][0]["found"] == 4


def test_the_log(run: Run, plane: Plane, url: str) -> None:
    run("teams", "create", "t")
    run("teams", "disable", "t")
    plane.memory.lines[1] = LogView(
        id=2, at=NOW, actor="cli:ann\x1b[2J", action="change", kind="team", subject="t",
        before={"disabled": False, "tags": []}, after={"disabled": True, "tags": []},
    )  # fmt: skip
    lines = said(run("audit", "log", "--last", "1", "--since", "2026-01-01", "--json"))
    assert [line["action"] for line in lines] == ["change"]
    shown = run("audit", "log").stdout
    assert "disabled: false -> true" in shown and "tags" not in shown
    assert "\x1b" not in shown  # what others wrote does not move the cursor
    assert len(said(run("audit", "--json", "log"))) == 2


def test_admins(run: Run) -> None:
    made = said(run("admins", "create", "ann", "--role", "viewer", "--json"))
    assert made["key"].startswith("ak-gw-") and made["role"] == "viewer"
    assert "only time" in run("admins", "create", "ben", "--role", "owner").stdout
    assert [one["name"] for one in said(run("admins", "list", "--json"))] == ["ann", "ben"]
    assert said(run("admins", "revoke", made["id"], "--json"))["revoked"] is not None
    assert "viewer" in run("admins", "list").stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("teams", "show", "nope"), "there is no team 'nope'"),
        (("teams", "show", ".."), "there is no team '..'"),
        (("keys", "create", "--team", "nope"), "there is no team 'nope'"),
        (("keys", "create", "--team", "t", "--rpm", "-1"), "--rpm must be a whole number above 0, or unlimited"),
        (("keys", "create", "--team", "t", "--tpm", "1e3"), "--tpm must be a whole number"),
        (("keys", "create", "--team", "t", "--tpm", "9" * 99), "--tpm must be at most 1000000000000, not 999"),
        (("keys", "create", "--team", "t", "--budget-usd", "NaN"), "--budget-usd must be dollars, such as 5 or 0.25"),
        (("keys", "create", "--team", "t", "--budget-usd", "-0"), "--budget-usd must not be negative, not -0"),
        (("keys", "create", "--team", "t", "--budget-usd", "1e400"), "--budget-usd must be at most"),
        (("keys", "create", "--team", "t", "--concurrent", "1000001"), "--concurrent must be at most 1000000, not"),
        (("keys", "create", "--team", "t", "--rpm", "0"), "--rpm must be above 0 (to refuse everything"),
        (("keys", "create", "--team", "t", "--budget-usd", "0.0"), "--budget-usd must be above 0"),
        (("usage", "--since", "99999999999d"), "or a time such as 2027-01-31T12:00:00Z, not 99999999999d"),
        (("keys", "create", "--team", "t", "--period", "day"), "period says for how long a budget is"),
        (("keys", "create", "--team", "t", "--expires", "soon"), "--expires must be a duration such as 90d"),
        (("keys", "create", "--team", "t", "--meta", "x"), "--meta must be NAME=VALUE, not x"),
        (("keys", "rotate", "x", "--grace", "1y"), "--grace must be a duration such as 90d"),
        (("limits", "set", "organisation", "t", "--rpm", "1"), "the organisation has no SUBJECT"),
        (("limits", "set", "team", "--rpm", "1"), "name the SUBJECT"),
        (("limits", "set", "team", "t"), "nothing to set"),
        (("teams", "update", "nope", "--tag", "x"), "there is no team 'nope'"),
        (("teams", "update", "t"), "nothing to change: give --models, --tag or --meta;"),
        (("keys", "update", "x"), "nothing to change: give --name, --expires, --models, --tag or --meta;"),
        (("keys", "update", "x", "--expires", "soon"), "--expires must be a duration such as 90d"),
        (("usage", "--by", "colour"), "--by: 'colour' is none of team, key, model"),
        (("usage", "--since", "1h", "--until", "2h"), "--until: must be later than since"),
    ],
)  # fmt: skip
def test_what_cannot_be_done(run: Run, plane: Plane, words: tuple[str, ...], sentence: str) -> None:
    before = plane.memory.state()
    assert sentence in refused(run(*words))
    as_json = run(*words, "--json")
    assert as_json.exit_code == 1 and as_json.stdout == ""
    error = msgspec.json.decode(as_json.stderr)["error"]
    assert sentence in error["message"] and error["code"]
    assert plane.memory.state() == before


def test_misuse_is_told_as_json_too(run: Run) -> None:
    for words in (
        ("keys", "create", "--json"),
        ("audit", "--json", "--no"),
        ("limits", "list", "--json", "x"),
        ("teams", "lst", "--json"),
    ):
        result = run(*words)
        assert result.exit_code == 1 and result.stdout == ""
        assert msgspec.json.decode(result.stderr)["error"]["code"] == "usage"
    assert run("keys", "create").exit_code == 2


def test_the_gateway_says_no(run: Run) -> None:
    team_key = "sk-gw-abcdefghijkl-0123456789012345678901234567890"
    assert "GATEWAY_ADMIN_KEY" in refused(run("teams", "list", GATEWAY_ADMIN_KEY=team_key))
    assert refused(run("teams", "list", GATEWAY_ADMIN_KEY="")).startswith("set GATEWAY_ADMIN_KEY")
    wrong = refused(run("teams", "list", GATEWAY_ADMIN_KEY="bad"))
    assert wrong.startswith("GATEWAY_ADMIN_KEY does not hold an admin key of that gateway") and "openssl" not in wrong
    assert "role operator" in refused(run("teams", "create", "x", GATEWAY_ADMIN_KEY=ADMIN["viewer"]))
    assert "role owner" in refused(run("admins", "create", "x", "--role", "owner", GATEWAY_ADMIN_KEY=ADMIN["operator"]))


def test_there_is_no_gateway(run: Run) -> None:
    for words in (("--url", "http://127.0.0.1:9"), ("--url", "http://127.0.0.1:9/x/")):
        # The last one counts, so the options come after those of the fixture.
        result = elsewhere(*words)
        assert "cannot reach a gateway at http://127.0.0.1:9" in refused(result)
        assert "connection refused" in result.stderr
    for wrong in ("gateway:8080", "ftp://x", "http://", "http://x?a=b"):
        assert "--url must be the gateway's address" in refused(elsewhere("--url", wrong))
    result = elsewhere("--url", "http://ann:hunter2@127.0.0.1:9")
    assert "hunter2" not in result.stderr and "must not hold a user name" in refused(result)
    assert "leave out" in refused(elsewhere("--url", "http://127.0.0.1:9", "--state-dir", "x"))


def elsewhere(*words: str) -> Result:
    from click.testing import CliRunner

    from tests.gateway.commands.conftest import MAIN

    environ = {"GATEWAY_ADMIN_KEY": ADMIN["owner"]}
    return CliRunner().invoke(MAIN, ["teams", "list", *words], env=environ)


def test_asking_for_help_brings_nothing_heavy() -> None:
    program = (
        "import sys; from gateway.commands import COMMANDS; heavy = ('sqlalchemy', 'httpx', 'rich', 'starlette'); "
        "print([name for name in (*heavy, 'adapters.cohere') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=".")
    assert found.stdout == "[]\n"
