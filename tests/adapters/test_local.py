"""What recordings of local servers cannot say."""

import pytest
from msgspec import Raw

from adapters import ADAPTERS
from adapters.errors import Rejected
from adapters.local import ENGINES, local
from adapters.types import Adapter, Call, Chat, Host, JsonSchema, Params

CHAT = Chat(Raw(b'[{"role":"user","content":"hello"}]'))
ONE, GREEDY = Call("m", "hello"), Call("m", "hello", Params(temperature=0))


def engine(name: str, max_n: int | None = None) -> Adapter:
    return ADAPTERS.get(name, local)(Host(base_url="http://x", engine=name, max_n=max_n))


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_is_found_by_its_name(name: str) -> None:
    adapter = engine(name)
    assert isinstance(adapter, ENGINES[name])  # type: ignore[arg-type]  # every entry is a class
    assert adapter.modes == ("completion", "chat")


@pytest.mark.parametrize("name", [None, "", "llamacpp", "VLLM"])
def test_any_other_engine_is_a_mistake(name: str | None) -> None:
    with pytest.raises(ValueError, match=r"engine is one of llama\.cpp, ollama, sglang, tgi, vllm; not"):
        local(Host(base_url="http://x", engine=name))


def test_who_can_be_asked_for_several_choices() -> None:
    names = ("llama", "llama.cpp", "vllm", "sglang", "tgi", "ollama")
    assert {name: engine(name).most(ONE) for name in names} == {
        "llama": 1,
        "llama.cpp": 1,
        "vllm": None,
        "sglang": None,
        "tgi": 1,
        "ollama": 1,
    }


def test_vllm_gives_one_greedy_choice_a_request_but_for_a_beam_search() -> None:
    beam = Call("m", "hello", Params(temperature=0), fields={"use_beam_search": Raw(b"true")})
    assert [engine("vllm", max_n=8).most(call) for call in (ONE, GREEDY, beam)] == [8, 1, 8]
    assert engine("sglang").most(GREEDY) is None


def test_what_the_completion_routes_do_by_themselves() -> None:
    assert {name: set(engine(name).takes) for name in ENGINES} == {
        "llama.cpp": {"tokens"},
        "vllm": {"prompts", "tokens", "echo"},
        "sglang": {"prompts", "tokens", "echo"},
        "tgi": set(),
        "ollama": set(),
    }


def test_llama_cpp_hangs_up_after_a_stream() -> None:
    adapter = engine("llama.cpp")
    for text in ("hello", CHAT):
        whole, stream = [adapter.encode(Call("m", text, stream=stream)).endpoint for stream in (False, True)]
        assert (whole.url, whole.keep_alive, stream.keep_alive) == (stream.url, True, False)
        assert adapter.encode(Call("m", text, stream=True)).endpoint is stream  # a client's key for its connections


@pytest.mark.parametrize("name", ["llama.cpp", "sglang", "tgi", "ollama"])
@pytest.mark.parametrize("text", ["hello", CHAT])
def test_options_of_a_schema_are_not_passed_over(name: str, text: str | Chat) -> None:
    schema = Raw(b'{"type":"object"}')
    asked = JsonSchema(schema, options={"whitespace_pattern": Raw(b'" ?"')})
    with pytest.raises(Rejected) as refused:
        engine(name).encode(Call("m", text, constraint=asked))
    assert refused.value.param == "whitespace_pattern"
    nothing = JsonSchema(schema, options={"whitespace_pattern": Raw(b"null"), "disable_any_whitespace": Raw(b"false")})
    engine(name).encode(Call("m", text, constraint=nothing))
