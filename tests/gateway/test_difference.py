"""What the log says of a change: every change, and no secret."""

import pytest

from gateway.config import Config, load
from gateway.config.difference import difference, for_a_restart

OLD = """
providers:
  p: {adapter: gpt, key_env: P_KEY, headers: {X-Team: red-team-7}}
  q: {adapter: gpt, base_url: "https://q.example/zq7"}
models:
  demo: {targets: [{provider: p, model: a}, {provider: q, model: b, fallback: true}]}
  other: {targets: [{provider: q, model: c}]}
aliases: {short: demo}
limits: {team: {rpm: 10}}
"""


def read(text: str) -> Config:
    return load(text)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("model: a}", "model: a, weight: 3}", ["models.demo.targets[0].weight: 1 -> 3"]),
        ("model: a}", "model: z}", ["models.demo.targets[0].model: a -> z"]),
        (", {provider: q, model: b, fallback: true}", "", ["models.demo.targets[1]: removed"]),
        ("  other: {targets: [{provider: q, model: c}]}\n", "", ["models.other: removed"]),
        ("aliases: {short: demo}", "aliases: {s: demo}", ["aliases.short: removed", "aliases.s: added, demo"]),
        ("rpm: 10", "rpm: 20, tpm: 5", ["limits.team.rpm: 10 -> 20", "limits.team.tpm: not set -> 5"]),
        ("red-team-7", "blue-team-8", ["providers.p.headers: changed"]),
        ("/zq7", "/zq8", ["providers.q.base_url: changed"]),
        ("P_KEY", "R_KEY", ["providers.p.key_env: P_KEY -> R_KEY"]),
        (
            "adapter: gpt, key_env",
            "adapter: gpt, timeouts: {connect: 1}, key_env",
            ["providers.p.timeouts.connect: 5.0 -> 1.0"],
        ),
        ("limits:", "server: {lag_ms: null}\nlimits:", ["server.lag_ms: 20.0 -> not set"]),
        ("model: a}", "model: a }", []),
    ],
)
def test_each_change_is_a_line(before: str, after: str, said: list[str]) -> None:
    assert before in OLD
    assert difference(read(OLD), read(OLD.replace(before, after))) == said


def test_what_is_new_is_said_in_its_place() -> None:
    more = OLD.replace("aliases:", "  third: {targets: [{provider: p, model: x}]}\naliases:")
    assert difference(read(OLD), read(more)) == ["models.third: added"]
    assert difference(read(more), read(OLD)) == ["models.third: removed"]


def test_nothing_of_an_address_or_header_is_shown() -> None:
    other = OLD.replace("red-team-7", "blue-8").replace("zq7", "zq8").replace("q.example", "r.example")
    text = "\n".join(difference(read(OLD), read(other)))
    assert text
    for hidden in ("red-team-7", "blue-8", "zq7", "zq8", "example", "X-Team"):
        assert hidden not in text


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("ledger: {on_full: allow}", ["ledger: holds from the next start"]),
        ("ledger: {spool_bytes: 1000000000}", ["ledger: holds from the next start"]),
        ("server: {max_depth: 9}", []),
    ],
)
def test_what_needs_a_restart_is_said(more: str, said: list[str]) -> None:
    new = read(f"{OLD}\n{more}")
    assert difference(read(OLD), new)
    assert for_a_restart(read(OLD), new) == said


def test_a_child_that_is_needed_only_now_is_said() -> None:
    new = OLD.replace("models:", "  e: {adapter: local, engine: llama.cpp, embedded: true}\nmodels:")
    assert for_a_restart(read(OLD), read(new)) == ["providers.e: the embedded model runs from the next start"]
    assert for_a_restart(read(new), read(OLD)) == []
