"""No parameter of a call is lost on the way: it is sent as it is, it equals what is so anyway, or it is refused."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import Rejected
from adapters.types import Adapter, Call, Chat, Fields, HttpRequest, Params
from tests.adapters.recordings import adapters

ADAPTERS = adapters()
OTHER: dict[str, Any] = {
    "n": 2,
    "max_tokens": 7,
    "temperature": 0.25,
    "top_p": 0.5,
    "stop": ("x",),
    "seed": 7,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
}
"""What any dialect can ask for."""

MORE: dict[str, Any] = {
    "logprobs": 0,
    "best_of": 2,
    "echo": True,
    "suffix": "the end",
    "logit_bias": {"7": 1.0},
    "top_k": 7,
    "min_p": 0.5,
    "repetition_penalty": 1.5,
    "min_tokens": 7,
    "stop_token_ids": (7,),
    "ignore_eos": True,
    "include_stop": True,
    "truncate": 7,
}
"""What only OpenAI's wire asks for, so that ``fields`` has it, too."""

WRITTEN = {"include_stop": "include_stop_str_in_output", "truncate": "truncate_prompt_tokens"}
"""Their names there, where they are others."""

BY_THE_GATEWAY = ("best_of", "echo")
"""What the gateway does for an adapter that does not say that its provider does it."""

IN_THE_ANSWER = {("llama.cpp", "include_stop"), ("tgi", "include_stop")}
"""What an adapter does when it reads the answer, so that nothing is sent."""

NAMES: dict[str, tuple[str, ...]] = {  # on the wires
    "max_tokens": ("max_tokens", "max_completion_tokens", "max_new_tokens", "n_predict", "num_predict"),
    "top_p": ("top_p", "p"),
    "stop": ("stop", "stop_sequences"),
}
NEUTRAL: dict[str, Any] = {"n": 1, "top_p": 1, "stop": (), "presence_penalty": 0, "frequency_penalty": 0}
"""What changes nothing, and so need not be sent."""

STOP: Fields = {"stop": msgspec.Raw(b'["y"]')}
"""Without a stop string, nothing follows from ``include_stop``."""

each = pytest.mark.parametrize("name", ADAPTERS)


NONE = Params()


def call(
    adapter: Adapter,
    params: Params = NONE,
    stream: bool = False,
    text: str = "hello",
    fields: Fields | None = None,
) -> Call:
    chat = Chat(msgspec.Raw(msgspec.json.encode([{"role": "user", "content": text}])))
    return Call("m", chat if adapter.modes[0] == "chat" else text, params, stream, fields)


def written(param: str, value: Any, chat: bool) -> Fields:
    """As a caller of OpenAI's wire writes it; a chat's ``logprobs`` is a flag."""
    value = True if chat and param == "logprobs" else value
    return {WRITTEN.get(param, param): msgspec.Raw(msgspec.json.encode(value))}


def flat(request: HttpRequest) -> dict[str, Any]:
    """The body's fields, those of ``options`` or ``parameters`` among them."""
    body: dict[str, Any] = msgspec.json.decode(request.body)
    return {**body, **body.get("options", {}), **body.get("parameters", {})}


def test_every_parameter_is_looked_at() -> None:
    assert OTHER.keys() | MORE.keys() == set(Params.__struct_fields__)


@each
@pytest.mark.parametrize("param", OTHER)
def test_every_parameter_is_sent_or_refused(name: str, param: str) -> None:
    adapter = ADAPTERS[name]
    asked = Params(**{param: OTHER[param]})
    try:
        body = adapter.encode(call(adapter, asked)).body
    except Rejected as exc:
        assert exc.param == param
        assert not exc.fall_back
    else:
        assert body != adapter.encode(call(adapter)).body


@each
@pytest.mark.parametrize("param", OTHER | MORE)
def test_every_parameter_that_is_written_is_sent_or_refused(name: str, param: str) -> None:
    adapter, value = ADAPTERS[name], {**OTHER, **MORE}[param]
    if (param in BY_THE_GATEWAY and param not in adapter.takes) or (name, param) in IN_THE_ANSWER:
        return
    fields = written(param, value, adapter.modes[0] == "chat")
    asked, bare = Params(**{"stop": ("y",), param: value}), Params(stop=("y",))
    try:
        body = adapter.encode(call(adapter, asked, fields={**STOP, **fields})).body
    except Rejected as exc:
        assert exc.param in fields
        assert not exc.fall_back
    else:
        assert body != adapter.encode(call(adapter, bare, fields=STOP)).body


@each
def test_stream_and_text_are_sent(name: str) -> None:
    adapter = ADAPTERS[name]
    whole, stream = adapter.encode(call(adapter)), adapter.encode(call(adapter, stream=True))
    assert (whole.body, whole.endpoint.url) != (stream.body, stream.endpoint.url)
    assert (whole.stream, stream.stream) == (False, True)
    assert whole.body != adapter.encode(call(adapter, text="goodbye")).body


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "n": st.integers(1, 3),
    "max_tokens": st.integers(-2, 2**20),
    "temperature": st.floats(-1, 3) | st.sampled_from([0, 1, 1.0, 2]),
    "top_p": st.floats(-0.5, 1.5) | st.sampled_from([0, 0.01, 0.99, 1, 1.0]),
    "stop": st.lists(st.text(max_size=3), max_size=7).map(tuple),
    "seed": st.integers(-(2**63), 2**64) | st.sampled_from([-1, 0, 2**32 - 1]),
    "presence_penalty": st.floats(-3, 3) | st.just(0),
    "frequency_penalty": st.floats(-3, 3) | st.just(0),
}
PARAMS = st.sets(st.sampled_from(list(VALUES)), max_size=3).flatmap(
    lambda names: st.fixed_dictionaries({name: VALUES[name] for name in sorted(names)}).map(lambda v: Params(**v))
)


@each
@given(asked=PARAMS, stream=st.booleans())
def test_what_is_sent_is_what_was_asked(name: str, asked: Params, stream: bool) -> None:
    adapter = ADAPTERS[name]
    try:
        sent = flat(adapter.encode(call(adapter, asked, stream)))
    except Rejected as exc:  # with a sentence that names what cannot be said
        assert exc.param in VALUES and getattr(asked, exc.param) not in (None, NEUTRAL.get(exc.param))
        assert exc.status is None and len(exc.message) < 120
        return
    for param in VALUES:
        value = getattr(asked, param)
        if value is None or NEUTRAL.get(param) == value or implied(name, param, asked):
            continue
        value = list(value) if param == "stop" else value
        found = [sent[key] for key in NAMES.get(param, (param,)) if key in sent]
        assert found == [value] or (not found and value in sent.values())  # by a name of its own


def implied(name: str, param: str, asked: Params) -> bool:
    """TGI has no temperature 0 but a switch for it, and to say a top_p would turn that on again."""
    return name == "tgi" and asked.temperature == 0 and param in ("temperature", "top_p")
