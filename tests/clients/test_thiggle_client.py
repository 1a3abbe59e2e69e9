"""thiggle's own Python client against a running gateway, over the real demo model: all five of its calls."""

import json
import re
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import requests
from thiggle.thiggle import API  # type: ignore[import-untyped]

from tests.e2e.test_serve import Gateway
from tests.e2e.test_serve import serving as running
from tests.serving import KEY

SCHEMA = """
export type Weather {
  place: "Paris" | "Rome";
  degrees: number;
  rain: boolean;
}
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("thiggle"), GATEWAY_BOOTSTRAP_KEY=KEY) as gateway:
        gateway.await_banner()
        yield gateway


@pytest.fixture
def client(demo: Gateway) -> Any:
    found = API(KEY)
    found.base_url = demo.url
    return found


def test_a_completion(client: Any) -> None:
    answer = client.completion("What is 2 + 3?", model=["demo", "demo"])
    assert [choice["text"] for choice in answer["choices"]] == [" 2 + 3 = 5."] * 2


def test_a_typed_completion(client: Any) -> None:
    answer = client.typed_completion(
        "The weather in Rome.", SCHEMA, "Weather", max_tokens=200, temperature=0, stop=["."]
    )
    assert str(uuid.UUID(answer["id"])) == answer["id"]
    assert datetime.fromisoformat(answer["created"]).tzinfo is not None
    [choice] = answer["choices"]
    said = json.loads(choice["text"])
    assert set(said) == {"place", "degrees", "rain"}
    assert said["place"] in ("Paris", "Rome") and type(said["rain"]) is bool
    assert choice["finish_reason"] == "stop"
    figures = answer["usage"]
    assert figures["total_tokens"] == figures["prompt_tokens"] + figures["completion_tokens"]
    assert all(type(figure) is int for figure in figures.values())


def test_a_typed_completion_that_is_cut_off(client: Any) -> None:
    with pytest.raises(requests.HTTPError, match="422"):
        client.typed_completion("The weather in Rome.", SCHEMA, "Weather", max_tokens=2)


@pytest.mark.parametrize("pattern", ["^[A-Z][a-z]{3,8}$", ["(yes|no)", "[0-9]{1,3}"]])
def test_a_pattern(client: Any, pattern: str | list[str]) -> None:
    answer = client.regex_completion("Once upon a time there was", pattern, max_new_tokens=20)
    assert answer["stop_reason"] == "pattern_match"
    assert answer["tokens_generated"] >= 1
    each = [pattern] if isinstance(pattern, str) else pattern
    assert any(re.fullmatch(one, answer["completion"]) for one in each)


def test_a_pattern_to_its_end_and_a_pattern_cut_off(client: Any) -> None:
    first = client.regex_completion("Once", "[a-z]{4,30}", max_new_tokens=40, temperature=0)
    whole = client.regex_completion("Once", "[a-z]{4,30}", max_new_tokens=40, temperature=0, stop_after_match=False)
    assert len(first["completion"]) == 4
    assert whole["completion"].startswith(first["completion"])
    cut = client.regex_completion("Once", "[a-z]{200}", max_new_tokens=3)
    assert (cut["stop_reason"], cut["tokens_generated"]) == ("token_limit", 3)
    assert re.fullmatch("[a-z]+", cut["completion"])


def test_a_grammar(client: Any) -> None:
    grammar = 'start: SIGN NUMBER " apples"\nSIGN: "+" | "-"\nNUMBER: /[1-9][0-9]/'
    answer = client.cfg_completion("Count:", grammar, max_new_tokens=30)
    assert answer["stop_reason"] == "pattern_match"
    assert re.fullmatch(r"[+-][1-9][0-9] apples", answer["completion"])
    short = client.cfg_completion("Count:", grammar, max_new_tokens=1)
    assert short["stop_reason"] == "token_limit"


@pytest.mark.parametrize(("null", "several"), [(False, False), (True, False), (False, True), (True, True)])
def test_categories(client: Any, null: bool, several: bool) -> None:
    categories = ["animals", "fruit", "tools"]
    answer = client.categorize(
        "The little dog ran home.", categories, allow_null_category=null, allow_multiple_classes=several
    )
    chosen = answer["choices"]
    assert set(answer) == {"choices"}
    assert set(chosen) <= set(categories) and len(set(chosen)) == len(chosen)
    assert (0 if null else 1) <= len(chosen) <= (3 if several else 1)


def test_errors_are_raised(client: Any) -> None:
    with pytest.raises(requests.HTTPError, match="400"):
        client.regex_completion("hi", "(a")
    with pytest.raises(requests.HTTPError, match="400"):
        client.categorize("hi", ["a", "a"])
    with pytest.raises(requests.HTTPError, match="400"):
        client.typed_completion("hi", "export type A = { b: c };", "A")
    stranger = API("sk-nobody")
    stranger.base_url = client.base_url
    with pytest.raises(requests.HTTPError, match="401"):
        stranger.cfg_completion("hi", 'start: "a"')
