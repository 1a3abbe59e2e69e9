"""What recordings of the OpenAI wire cannot say."""

import pytest

from adapters.chat import said_by_user
from adapters.errors import Garbled, Rejected
from adapters.llama import Llama
from adapters.local.vllm import Vllm
from adapters.longtail import LongTail
from adapters.openai import OpenAI
from adapters.types import Call, Host, HttpResponse, Params

AZURE = Host(base_url="https://contoso.example/deployments/{model}/", query={"api-version": "2024-10-21"})


@pytest.mark.parametrize(
    ("model", "place"),
    [
        ("gpt-4o", "gpt-4o"),
        ("../../admin", "..%2F..%2Fadmin"),
        ("a?b=c#d", "a%3Fb%3Dc%23d"),
        ("Grüße 👋", "Gr%C3%BC%C3%9Fe%20%F0%9F%91%8B"),
        ("{model}", "%7Bmodel%7D"),
    ],
)
def test_a_model_stays_in_its_place_of_the_path(model: str, place: str) -> None:
    request = OpenAI(AZURE).encode(Call(model, "hello"))
    assert request.endpoint.url == (f"https://contoso.example/deployments/{place}/completions?api-version=2024-10-21")


def test_endpoints_are_made_once() -> None:
    """A client keeps its connections by them."""
    adapter = OpenAI(AZURE)
    first, again, other = (adapter.encode(Call(model, "hello")).endpoint for model in ("a", "a", "b"))
    assert first is again
    assert first is not other


def test_a_host_overrides_the_adapters_habits() -> None:
    host = Host(base_url="http://x", max_n=4, max_tokens_field="max_completion_tokens")
    adapter = Llama(host)
    assert (adapter.max_n, adapter.chat_limit) == (4, "max_completion_tokens")
    assert (Llama.max_n, Llama.chat_limit) == (1, "max_tokens")


def test_more_choices_than_a_host_gives_are_refused() -> None:
    adapter = Llama(Host(base_url="http://x", max_n=4))
    assert b'"n":4' in adapter.encode(Call("m", "hello", Params(n=4))).body
    with pytest.raises(Rejected, match="n = 4 at most") as caught:
        adapter.encode(Call("m", "hello", Params(n=5)))
    assert caught.value.param == "n"


def test_without_a_done_marker_several_choices_cannot_be_told_complete() -> None:
    assert OpenAI(Host(base_url="http://x", done_marker=False)).max_n == 1


def test_a_second_choice_that_begins_late_is_waited_for() -> None:
    decoder = OpenAI(Host(base_url="http://x", done_marker=False, max_n=2)).decoder(Call("m", "hello"))
    decoder.feed(b'data: {"choices":[{"index":0,"text":"a","finish_reason":"stop"}]}\n\n')
    decoder.feed(b'data: {"choices":[{"index":1,"text":"b"}]}\n\n')
    with pytest.raises(Exception, match="ended early"):
        decoder.close()


def test_what_came_before_an_error_is_handed_out_first() -> None:
    decoder = OpenAI(Host(base_url="http://x")).decoder(Call("m", "hello"))
    both = b'data: {"choices":[{"text":"a"}]}\n\ndata: {"error":{"code":429}}\n\n'
    assert [delta.text for delta in decoder.feed(both)] == ["a"]
    for _ in range(2):
        with pytest.raises(Exception, match="throttling"):
            decoder.feed(b"")
    with pytest.raises(Exception, match="throttling"):
        decoder.close()


DAMAGED = (
    b'{"choices":[{"index":0,"text":"a","finish_reason":"stop"}],"usage":{"prompt_tokens":8,"completion\xdftokens":4}}'
)
"""No UTF-8, in a name that would be skipped: four tokens would be taken for none."""


@pytest.mark.parametrize("rich", [False, True])
def test_usage_under_a_damaged_name_is_not_overlooked(rich: bool) -> None:
    adapter = OpenAI(Host(base_url="http://x"))
    call = Call("m", "hello", fields={} if rich else None)
    with pytest.raises(Garbled):
        adapter.decode(call, HttpResponse(200, [], DAMAGED))
    with pytest.raises(Garbled):
        adapter.decoder(call).feed(b"data: " + DAMAGED + b"\n\n")


def test_who_says_every_plain_call_refuses_none() -> None:
    host = Host(base_url="http://host/v1")
    every = [OpenAI(host), Llama(host), LongTail(host)]
    assert all(adapter.plain for adapter in every) and not Vllm(host).plain
    few = Params(max_tokens=1, temperature=2.0, top_p=0.5, stop=("a",) * 16, seed=-1, frequency_penalty=-2.0)
    for adapter in every:
        for said in ("hi", said_by_user("hi")):
            for params in (Params(), few):
                assert adapter.encode(Call("m", said, params, stream=True)).body
