"""Whatever stands in the file, it is loaded or refused with a ConfigError, and soon."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.config import ConfigError, Problem, load

WORDS = [
    "providers",
    "models",
    "aliases",
    "defaults",
    "server",
    "targets",
    "provider",
    "model",
    "adapter",
    "engine",
    "base_url",
    "key_env",
    "headers",
    "query",
    "timeouts",
    "total",
    "weight",
    "mode",
    "fallback",
    "embedded",
    "concurrency",
    "queue",
    "gpt",
    "cohere",
    "llama",
    "local",
    "vllm",
    "llama.cpp",
    "chat",
    "completion",
    "demo",
]

scalars = st.one_of(
    st.sampled_from(WORDS),
    st.sampled_from(["1", "-1", "0", "1.5", ".nan", ".inf", "true", "null", "~", '""', "http://x/v1", "'1'"]),
    st.text(max_size=8).map(lambda text: repr(text)),
)
yaml_like = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(st.tuples(scalars, inner), max_size=5).map(
            lambda pairs: "{" + ", ".join(f"{name}: {value}" for name, value in pairs) + "}"
        ),
    ),
    max_leaves=30,
)


def outcome(text: str | bytes) -> tuple[Problem, ...]:
    try:
        load(text)
    except ConfigError as exc:
        assert exc.problems
        assert [problem.line for problem in exc.problems] == sorted(problem.line for problem in exc.problems)
        assert str(exc).isprintable() or "\n" in str(exc)
        return exc.problems
    return ()


@given(st.one_of(st.binary(), st.text()))
@example(b"\xef\xbb\xbfmodels: {}")
@example(b"\xff\xfea\x00")
@example("\ud800")
@example('"\\UFFFFFFFF"')
@example("%YAML 9.9\n---\n")
@example("? ? ?")
@example("a: &a {b: *a}")
def test_any_bytes(text: str | bytes) -> None:
    outcome(text)


@given(yaml_like)
def test_anything_that_looks_like_yaml(text: str) -> None:
    assert outcome(text)


@given(st.lists(st.tuples(st.sampled_from(WORDS[:5]), yaml_like), min_size=1, max_size=4))
def test_anything_that_looks_like_a_configuration(sections: list[tuple[str, str]]) -> None:
    outcome("".join(f"{name}: {value}\n" for name, value in sections))


REFERENCES = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{here}: &{here} [{', '.join(['*' + before] * 8)}]\n" for before, here in zip("abcdefgh", "bcdefghi", strict=True)
)
EVERY_MODEL = (
    "providers: {o: {adapter: gpt}}\nmodels:\n"
    f"  m: {{targets: &t [{', '.join(['{provider: o, model: x}'] * 500)}]}}\n"
    + "".join(f"  m{i}: {{targets: *t}}\n" for i in range(5000))
)
MANY = "providers: {o: {adapter: gpt}}\nmodels:\n" + "".join(
    f"  m{i}: {{targets: [{{provider: o, model: m{i}}}]}}\n" for i in range(3500)
)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(REFERENCES, id="references to references"),
        pytest.param(EVERY_MODEL, id="references where they belong"),
        pytest.param("&m\nmodels: *m\nproviders: *m\naliases: *m\n", id="a file that holds itself"),
        pytest.param("models: {a: {targets: &t [*t]}}", id="a list that holds itself"),
        pytest.param("[" * 500_000, id="deep lists"),
        pytest.param("{a: " * 100_000, id="deep sections"),
        pytest.param("- " * 300_000, id="deep blocks"),
        pytest.param("[" + "a," * 400_000 + "]", id="a long list"),
        pytest.param("a: 1\n" * 150_000, id="one name many times"),
        pytest.param('"' + "\\n" * 400_000 + '"', id="a long text"),
        pytest.param(MANY + "aliases:\n" + "".join(f"  a{i}: n{i}\n" for i in range(3000)), id="many near names"),
    ],
)
def test_a_hostile_file_is_refused_soon(text: str) -> None:
    start = time.process_time()
    assert outcome(text)
    assert time.process_time() - start < 20  # a second or three; exponential or quadratic work would be minutes


def test_a_large_honest_file_loads() -> None:
    assert outcome(MANY) == ()
