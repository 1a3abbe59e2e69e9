"""By what each adapter holds an answer to its constraint on each of its routes; where it does, it can say it."""

import pytest
from msgspec import Raw

from adapters import ADAPTERS
from adapters.errors import Rejected
from adapters.types import Adapter, AnyJson, Call, Chat, Constraint, Host, Input, JsonSchema, OneOf, Path
from tests.adapters.recordings import adapters

CHAT = Chat(Raw(b'[{"role":"user","content":"hello"}]'))
SCHEMA = JsonSchema(Raw(b'{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}'))
CONSTRAINTS: dict[str, Constraint] = {
    "schema": SCHEMA,
    "list": JsonSchema(Raw(b'{"type":"array"}')),
    "choice": OneOf(("yes", "no")),
    "any JSON": AnyJson(),
}
WAYS: dict[str, tuple[Path | None, Path | None]] = {  # of a chat, and of a text
    "cohere": ("native", "native"),  # which it is never asked
    "gpt": ("native", None),
    "litellm": ("native", None),
    "llama": ("native", None),
    "llama.cpp": ("guided", "guided"),
    "ollama": ("guided", "guided"),
    "sglang": ("guided", "guided"),
    "tgi": ("guided", "guided"),
    "vllm": ("guided", "guided"),
}
FOLDERS = adapters()


def expected(name: str, text: Input, constraint: Constraint) -> Path | None:
    if name == "tgi" and isinstance(constraint, AnyJson):
        return None
    return WAYS[name][0 if isinstance(text, Chat) else 1]


@pytest.mark.parametrize("constraint", CONSTRAINTS.values(), ids=CONSTRAINTS)
@pytest.mark.parametrize("text", ["hello", CHAT], ids=["text", "chat"])
@pytest.mark.parametrize("name", FOLDERS)
def test_the_path_of_each_route(name: str, text: Input, constraint: Constraint) -> None:
    assert FOLDERS[name].path(Call("m", text, constraint=constraint)) == expected(name, text, constraint)


@pytest.mark.parametrize("constraint", CONSTRAINTS.values(), ids=CONSTRAINTS)
@pytest.mark.parametrize("text", ["hello", CHAT], ids=["text", "chat"])
@pytest.mark.parametrize("name", FOLDERS)
def test_what_has_a_path_is_said(name: str, text: Input, constraint: Constraint) -> None:
    adapter = FOLDERS[name]
    mode = "chat" if isinstance(text, Chat) else "completion"
    call = Call("m", text, constraint=constraint)
    if mode in adapter.modes and adapter.path(call) is not None:
        assert adapter.encode(call).body != adapter.encode(Call("m", text)).body


@pytest.mark.parametrize("name", ["gpt", "litellm", "llama"])
def test_what_has_none_is_refused(name: str) -> None:
    with pytest.raises(Rejected) as refused:
        FOLDERS[name].encode(Call("m", "hello", constraint=SCHEMA))
    assert refused.value.param == "response_format"


@pytest.mark.parametrize("guided", ["structured_outputs", "guided"])
def test_vllm_in_both_of_its_spellings(guided: str) -> None:
    adapter: Adapter = ADAPTERS["local"](Host(base_url="http://x", engine="vllm", guided=guided))  # type: ignore[arg-type]
    for text in ("hello", CHAT):
        assert adapter.path(Call("m", text, constraint=SCHEMA)) == "guided"
        assert guided.encode() in adapter.encode(Call("m", text, constraint=SCHEMA)).body


def test_the_demo_model_is_held_by_its_decoder() -> None:
    adapter = ADAPTERS["local"](Host(base_url="http://x", engine="llama.cpp", demo=True))
    assert [adapter.path(Call("m", text, constraint=SCHEMA)) for text in ("hello", CHAT)] == ["guided", "guided"]
