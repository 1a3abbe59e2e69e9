"""Keys, addresses, prompts and what a provider says about itself stay out of whatever might be shown."""

import traceback

import pytest

from adapters.errors import ProviderError
from adapters.openai import OpenAI
from adapters.types import Call, Host, HttpResponse
from tests.adapters.recordings import Case, adapters, cases, split

ADAPTERS = adapters()
MINE = "sk-test"
THEIRS = "sk-leaked"

each = pytest.mark.parametrize("case", cases("request.json"), ids=lambda case: case.name)


@each
def test_what_is_sent_is_shown_without_its_key(case: Case) -> None:
    adapter = case.adapter()
    request = adapter.encode(case.call())
    assert any(MINE in value for _, value in request.endpoint.headers)
    for value in (adapter, request.endpoint, request.endpoint.url):
        assert MINE not in repr(value) + str(value)


def test_a_host_is_shown_without_its_secrets() -> None:
    """Some providers want their key in a header of their own, or in the query."""
    host = Host(base_url="https://api.example.com", key=MINE, headers={"x-key": MINE}, query={"key": MINE})
    request = OpenAI(host).encode(Call("m", "hello"))
    assert MINE in request.endpoint.url
    for value in (host, request.endpoint, OpenAI(host)):
        assert MINE not in repr(value) + str(value)


CALL = Call("m", "hello")


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500])
def test_a_failure_repeats_nothing(name: str, status: int) -> None:
    """Providers quote keys, prompts and internal addresses in their errors."""
    body = b'{"error":{"message":"bad key sk-leaked","type":"sk-leaked","code":"sk-leaked"},"message":"sk-leaked"}'
    with pytest.raises(ProviderError) as caught:
        ADAPTERS[name].decode(CALL, HttpResponse(status, [(b"x-debug", b"sk-leaked")], body))
    assert THEIRS not in str(caught.value) + repr(caught.value) + caught.value.message


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_broken_stream_repeats_nothing(name: str) -> None:
    decoder = ADAPTERS[name].decoder(CALL)
    with pytest.raises(ProviderError) as caught:
        for piece in split(b'data: {"error":{"message":"sk-leaked","code":"sk-leaked"}}\n\ndata: sk-leaked\n\n', 9):
            decoder.feed(piece)
        decoder.close()
    assert THEIRS not in "".join(traceback.format_exception(caught.value))
