"""Embedders against answers as each wire's reference documents them. llama.cpp's are what a real server sent."""

from array import array
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from adapters import ADAPTERS
from adapters.embeddings import EMBEDDERS
from adapters.embeddings.form import in_form, length
from adapters.embeddings.local import ENGINES
from adapters.embeddings.types import Embed, Embedder, Vectors
from adapters.errors import Garbled, ProviderError, Rejected, Throttled, Unauthorized, Unavailable, Unknown
from adapters.local import ENGINES as LOCAL_ENGINES
from adapters.types import Fields, Host, HttpResponse, Usage

V1 = "http://host.test/v1"
ROOT = "http://host.test"


def fields(**given: Any) -> Fields:
    return {name: Raw(msgspec.json.encode(value)) for name, value in given.items()}


def embedder(adapter: str, base_url: str = V1, **more: Any) -> Embedder:
    return EMBEDDERS[adapter](Host(base_url=base_url, key="sk-test", **more))


def engine(name: str) -> Embedder:
    return embedder("local", V1 if name in ("vllm", "sglang") else ROOT, engine=name)


def asked(*items: Any, as_base64: bool = False, dimensions: int | None = None, **more: Any) -> Embed:
    """As a caller's fields and what is read of them."""
    if as_base64:
        more["encoding_format"] = "base64"
    if dimensions is not None:
        more["dimensions"] = dimensions
    return Embed("m", items, as_base64, dimensions, fields(**more))


def body(embedder: Embedder, call: Embed) -> Any:
    return msgspec.json.decode(embedder.encode(call).body)


def response(body: Any, status: int = 200) -> HttpResponse:
    return HttpResponse(status, [], body if isinstance(body, bytes) else msgspec.json.encode(body))


def plain(rows: tuple[Fields, ...]) -> list[dict[str, Any]]:
    return [{name: msgspec.json.decode(value) for name, value in row.items()} for row in rows]


OPENAI = b"""{
  "object": "list",
  "data": [
    {"object": "embedding", "index": 1, "embedding": [0.5, -1]},
    {"object": "embedding", "index": 0, "embedding": [0.0023064255, -0.009327292], "extra": {"a": null}}
  ],
  "model": "text-embedding-3-small",
  "usage": {"prompt_tokens": 8, "total_tokens": 8, "cost": 0.1},
  "id": "embd-1"
}"""
LLAMACPP = (
    b'{"model":"m","object":"list","usage":{"prompt_tokens":2,"total_tokens":2},"data":['
    b'{"embedding":[-0.005529508925974369,0.011791386641561985],"index":0,"object":"embedding"}]}'
)
LLAMACPP_OFF = (
    b'{"error":{"code":501,"message":"This server does not support embeddings. '
    b'Start it with `--embeddings`","type":"not_supported_error"}}'
)
COHERE = (
    b'{"id":"da6e531f-54c5-4a73-bf92-f60566d8d753","embeddings":{"float":[[0.016,-0.008],[1.0,2]]},'
    b'"texts":["hello","goodbye"],"meta":{"api_version":{"version":"2"},"billed_units":{"input_tokens":2}},'
    b'"response_type":"embeddings_by_type"}'
)
COHERE_BASE64 = (
    b'{"id":"1","embeddings":{"base64":["AAAAPwAAgL8="]},"texts":["hello"],'
    b'"meta":{"billed_units":{"input_tokens":1.0}}}'
)
OLLAMA = (
    b'{"model":"all-minilm","embeddings":[[0.010071029,-0.0017594862],[1,2]],"total_duration":14143917,'
    b'"load_duration":1019500,"prompt_eval_count":8}'
)


def test_every_adapter_has_an_embedder() -> None:
    assert EMBEDDERS.keys() == ADAPTERS.keys()
    assert ENGINES.keys() == LOCAL_ENGINES.keys()
    with pytest.raises(ValueError, match="engine is one of llama.cpp, ollama"):
        embedder("local", engine="other")


def test_openai_is_sent_what_was_written() -> None:
    written = Raw(b'[ "a",  "\\u0062" ]')
    call = msgspec.structs.replace(
        asked("a", "b", dimensions=2, as_base64=True, user="me", of_next_year=[1]), written=written
    )
    request = embedder("gpt").encode(call)
    assert request.endpoint.url == f"{V1}/embeddings"
    assert ("authorization", "Bearer sk-test") in request.endpoint.headers
    assert bytes(written) in request.body
    assert msgspec.json.decode(request.body) == {
        "model": "m", "input": ["a", "b"], "dimensions": 2, "encoding_format": "base64", "user": "me",
        "of_next_year": [1],
    }  # fmt: skip


@pytest.mark.parametrize("items", [("a",), ("a", "b"), ((1, 2), (3,))])
def test_items_that_are_a_part_of_a_call(items: Any) -> None:
    said = [item if isinstance(item, str) else list(item) for item in items]
    assert body(embedder("llama"), asked(*items)) == {"model": "m", "input": said}


def test_azure_has_the_model_in_its_address() -> None:
    azure = embedder("gpt", "https://x.test/openai/deployments/{model}", auth="api-key", query={"api-version": "1"})
    endpoint = azure.encode(asked("a")).endpoint
    assert endpoint.url == "https://x.test/openai/deployments/m/embeddings?api-version=1"
    assert ("api-key", "sk-test") in endpoint.headers


def test_litellm_has_its_key_beside_the_body() -> None:
    headers = embedder("litellm", "http+unix://x.sock").encode(asked("a")).endpoint.headers
    assert ("x-litellm-key", "sk-test") in headers
    assert not any(name == "authorization" for name, _ in headers)


def test_openai_answers_in_the_order_of_the_items_and_is_kept() -> None:
    got = embedder("gpt").decode(asked("a", "b"), response(OPENAI))
    assert got.usage == Usage(8, 0, raw=Raw(b'{"prompt_tokens": 8, "total_tokens": 8, "cost": 0.1}'))
    assert got.raw == {"id": Raw(b'"embd-1"')}
    assert plain(got.rows) == [
        {"object": "embedding", "index": 0, "embedding": [0.0023064255, -0.009327292], "extra": {"a": None}},
        {"object": "embedding", "index": 1, "embedding": [0.5, -1]},
    ]


@pytest.mark.parametrize(
    "data",
    [
        [],
        [{"index": 0, "embedding": [1]}],
        [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}],
        [{"index": 1, "embedding": [1]}, {"index": 2, "embedding": [1]}],
        [{"index": 0, "embedding": [1]}, {"embedding": [1]}],
        [{"index": 0, "embedding": None}, {"index": 1, "embedding": [1]}],
        [{"index": 0}, {"index": 1, "embedding": [1]}],
        [{"index": "0", "embedding": [1]}, {"index": 1, "embedding": [1]}],
        [{"embedding": [1]}, {"embedding": [1]}, {"embedding": [1]}],
        {"0": {"embedding": [1]}},
        None,
    ],
)
def test_an_answer_about_other_items_is_garbled(data: Any) -> None:
    with pytest.raises(Garbled):
        embedder("gpt").decode(asked("a", "b"), response({"data": data}))


def test_rows_without_indexes_stand_as_they_came() -> None:
    got = embedder("gpt").decode(asked("a", "b"), response({"data": [{"embedding": [1]}, {"embedding": "AACAPw=="}]}))
    assert plain(got.rows) == [{"embedding": [1]}, {"embedding": "AACAPw=="}]
    assert got.usage is None


def test_llamacpp() -> None:
    llamacpp = engine("llama.cpp")
    assert llamacpp.encode(asked((5, 6))).endpoint.url == f"{ROOT}/v1/embeddings"
    assert body(llamacpp, asked((5, 6), as_base64=True)) == {
        "model": "m", "input": [[5, 6]], "encoding_format": "base64",
    }  # fmt: skip
    got = llamacpp.decode(asked((5, 6)), response(LLAMACPP))
    assert plain(got.rows)[0]["embedding"] == [-0.005529508925974369, 0.011791386641561985]
    with pytest.raises(Unknown, match="was not started with --embeddings") as raised:
        llamacpp.decode(asked("a"), response(LLAMACPP_OFF, 501))
    assert raised.value.fall_back and raised.value.status == 501


def test_ollama() -> None:
    ollama = engine("ollama")
    call = asked("a", "b", dimensions=2, as_base64=True, user="me")
    assert ollama.encode(call).endpoint.url == f"{ROOT}/api/embed"
    assert body(ollama, call) == {"model": "m", "input": ["a", "b"], "truncate": False, "dimensions": 2}
    got = ollama.decode(call, response(OLLAMA))
    assert got.usage == Usage(8, 0)
    assert [row["embedding"] for row in plain(got.rows)] == [[0.010071029, -0.0017594862], [1, 2]]


def test_cohere() -> None:
    cohere = embedder("cohere", "https://api.cohere.test")
    assert cohere.encode(asked("a")).endpoint.url == "https://api.cohere.test/v2/embed"
    assert body(cohere, asked("a", input_type=None)) == {
        "model": "m", "texts": ["a"], "embedding_types": ["float"], "input_type": "search_document", "truncate": "NONE",
    }  # fmt: skip
    call = asked("a", as_base64=True, dimensions=256, input_type="search_query", truncate="END")
    assert body(cohere, call) == {
        "model": "m", "texts": ["a"], "embedding_types": ["base64"], "input_type": "search_query", "truncate": "END",
        "output_dimension": 256,
    }  # fmt: skip
    got = cohere.decode(asked("hello", "goodbye"), response(COHERE))
    assert got == Vectors(({"embedding": Raw(b"[0.016,-0.008]")}, {"embedding": Raw(b"[1.0,2]")}), Usage(2, 0))
    got = cohere.decode(asked("hello", as_base64=True), response(COHERE_BASE64))
    assert got == Vectors(({"embedding": Raw(b'"AAAAPwAAgL8="')},), Usage(1, 0))
    with pytest.raises(Garbled, match="of the form that was asked for"):
        cohere.decode(asked("hello"), response(COHERE_BASE64))


def test_how_many_items_go_into_one_request() -> None:
    assert [embedder("gpt").most, embedder("cohere").most, engine("tgi").most] == [None, 96, 32]


@pytest.mark.parametrize(
    ("made", "call", "param"),
    [
        (embedder("cohere"), asked((1, 2)), "input"),
        (embedder("cohere"), asked("a", task="x"), "task"),
        (engine("ollama"), asked("a", (1,)), "input"),
        (engine("ollama"), asked("a", input_type="search_query"), "input_type"),
        (engine("llama.cpp"), asked("a", dimensions=2), "dimensions"),
        (engine("llama.cpp"), asked("a", input_type="search_query"), "input_type"),
        (engine("tgi"), asked("a", truncate=True), "truncate"),
        (engine("sglang"), asked("a", truncate_prompt_tokens=5), "truncate_prompt_tokens"),
    ],
)
def test_what_a_wire_cannot_say_is_refused_by_name(made: Embedder, call: Embed, param: str) -> None:
    with pytest.raises(Rejected) as raised:
        made.encode(call)
    assert raised.value.param == param


@pytest.mark.parametrize("name", ["vllm", "sglang", "tgi"])
def test_engines_of_the_openai_wire(name: str) -> None:
    call = asked("a", as_base64=True, dimensions=2, user="me")
    sent = engine(name).encode(call)
    assert sent.endpoint.url == f"{ROOT}/v1/embeddings"
    assert msgspec.json.decode(sent.body) == {"model": "m", "input": ["a"], "user": "me"} | {
        "encoding_format": "base64", "dimensions": 2,
    }  # fmt: skip


ALL = {name: embedder(name) for name in EMBEDDERS if name != "local"} | {name: engine(name) for name in ENGINES}
each = pytest.mark.parametrize("name", ALL)


@each
@pytest.mark.parametrize(
    ("status", "kind"), [(400, Rejected), (401, Unauthorized), (404, Unknown), (429, Throttled), (503, Unavailable)]
)
def test_failures_by_their_status(name: str, status: int, kind: type[ProviderError]) -> None:
    secret = {"error": {"message": "secret words", "type": "x", "param": None, "code": None}}
    with pytest.raises(kind) as raised:
        ALL[name].decode(asked("a"), response(secret, status))
    assert type(raised.value) is kind and "secret" not in raised.value.message


def test_openai_names_the_parameter() -> None:
    refused = {"error": {"message": "no", "type": "invalid_request_error", "param": "dimensions", "code": None}}
    with pytest.raises(Rejected) as raised:
        embedder("gpt").decode(asked("a", dimensions=9), response(refused, 400))
    assert raised.value.param == "dimensions"
    with pytest.raises(Rejected) as raised:
        embedder("gpt").decode(asked("a"), response(refused, 400))
    assert raised.value.param is None  # it was not sent, so it is not the caller's


def test_an_error_under_status_200() -> None:
    with pytest.raises(Throttled):
        embedder("llama").decode(asked("a"), response({"error": {"code": 429, "message": "secret"}}))


GOOD = (OPENAI, LLAMACPP, COHERE, COHERE_BASE64, OLLAMA)
JSON = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["data", "embeddings", "embedding", "index", "float", "usage"]), inner)
    ),
    max_leaves=8,
)


@each
@given(
    data=JSON.map(msgspec.json.encode)
    | st.tuples(st.sampled_from(GOOD), st.integers(0, 400), st.binary(max_size=3)).map(
        lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] + 1 :]
    )
)
def test_garbage_is_a_failure_or_an_answer(name: str, data: bytes) -> None:
    for call in (asked("a"), asked("a", "b", as_base64=True)):
        try:
            got = ALL[name].decode(call, response(data))
        except ProviderError:
            continue
        assert len(got.rows) == len(call.items)
        for row in got.rows:
            try:
                in_form(row["embedding"], True)
                in_form(row["embedding"], False)
            except Garbled:
                pass


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=20))
def test_forms_are_each_others(numbers: list[float]) -> None:
    """Also to the bit: what is a 32-bit float stays the same one."""
    listed = Raw(msgspec.json.encode(numbers))
    packed = in_form(listed, True)
    assert in_form(packed, True) is packed and in_form(listed, False) is listed
    assert array("f", msgspec.json.decode(in_form(packed, False))).tobytes() == array("f", numbers).tobytes()
    assert length(listed) == length(packed) == len(numbers)


def test_base64_is_little_endian() -> None:
    assert in_form(Raw(b"[0.5, -1]"), True) == Raw(b'"AAAAPwAAgL8="')
    assert in_form(Raw(b'"AAAAPwAAgL8="'), False) == Raw(b"[0.5,-1.0]")


@pytest.mark.parametrize(
    ("vector", "as_base64"),
    [
        (b'["a"]', True),
        (b"[1e300]", True),
        (b"[[1]]", True),
        (b'"AAA="', False),
        (b'"?"', False),
        (b'"\xff"', False),
        (b'"AACAfw=="', False),
    ],
)
def test_what_is_no_vector_is_garbled(vector: bytes, as_base64: bool) -> None:
    with pytest.raises(Garbled):
        in_form(Raw(vector), as_base64)
