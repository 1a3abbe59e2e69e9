"""What is made of an embedding request on its way: read, divided, asked in turn, put together."""

import asyncio
import gc
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from adapters.embeddings.openai import OpenAIEmbedder
from adapters.embeddings.types import Embed, Vectors
from adapters.errors import Garbled, Rejected, Unavailable
from adapters.types import Host, HttpRequest, HttpResponse, Usage
from gateway.embedding import Asking, asking, attempt, embedded, first_expressible, leg_of, parts
from gateway.errors import BadRequest, Unanswered
from gateway.estimates import Estimator
from gateway.gate import Gate as Bounded
from gateway.ledger.cost import Rates, RateTable
from gateway.limits.types import Limits
from gateway.types import LegResult, Target
from gateway.upstream.types import Feed
from gateway.wire import embeddings, lamini, lamini_embedding
from gateway.wire.body import read
from gateway.wire.embeddings import EmbeddingRequest
from tests.gateway.notebook import Notebook
from tests.gateway.playing import CLOCK, Playing, fails, target
from tests.gateway.test_admission import Gate


def decode(**fields: Any) -> EmbeddingRequest:
    return embeddings.decode(read(msgspec.json.encode(fields), 64))


@pytest.mark.parametrize(
    ("given", "items", "single"),
    [
        ("a", ("a",), True),
        (["a"], ("a",), False),
        (["a", "b"], ("a", "b"), False),
        ([1, 2], ((1, 2),), True),
        ([[1, 2], [3]], ((1, 2), (3,)), False),
        (["a", [1]], ("a", (1,)), False),
    ],
)
def test_forms_of_input(given: Any, items: Any, single: bool) -> None:
    request = decode(model="m", input=given)
    assert (request.call.items, request.single) == (items, single)
    assert request.call.written == Raw(msgspec.json.encode(given))


def test_what_is_read_and_what_is_kept() -> None:
    request = decode(model="m", input="a", encoding_format="base64", dimensions=3, user="me", new={"x": None})
    assert request.model == "m"
    assert (request.call.base64, request.call.dimensions) == (True, 3)
    assert {name: bytes(value) for name, value in request.call.fields.items()} == {
        "encoding_format": b'"base64"', "dimensions": b"3", "user": b'"me"', "new": b'{"x":null}',
    }  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"input": "a"}, "model"),
        ({"model": None, "input": "a"}, "model"),
        ({"model": "", "input": "a"}, "model"),
        ({"model": ["m"], "input": "a"}, "model"),
        ({"model": ["m", "n"], "input": "a"}, "model"),
        ({"model": "m"}, "input"),
        ({"model": "m", "input": None}, "input"),
        ({"model": "m", "input": ""}, "input"),
        ({"model": "m", "input": []}, "input"),
        ({"model": "m", "input": [""]}, "input"),
        ({"model": "m", "input": [[]]}, "input"),
        ({"model": "m", "input": [1, "a"]}, "input"),
        ({"model": "m", "input": ["a", 1]}, "input"),
        ({"model": "m", "input": [-1]}, "input"),
        ({"model": "m", "input": [1.5]}, "input"),
        ({"model": "m", "input": [2**31]}, "input"),
        ({"model": "m", "input": {"text": "a"}}, "input"),
        ({"model": "m", "input": ["a"] * 2049}, "input"),
        ({"model": "m", "input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"model": "m", "input": "a", "dimensions": 0}, "dimensions"),
        ({"model": "m", "input": "a", "dimensions": 1.5}, "dimensions"),
        ({"model": "m", "input": "a", "stream": True}, "stream"),
        ({"model": "m", "input": "a", "fanout": {"mode": "all"}}, "fanout"),
    ],
)
def test_what_is_refused(wrong: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as raised:
        decode(**wrong)
    assert raised.value.param == param


def test_most_items() -> None:
    assert len(decode(model="m", input=["a"] * 2048).call.items) == 2048


def lamini_request(**fields: Any) -> EmbeddingRequest:
    return lamini_embedding.decode(read(msgspec.json.encode(fields), 64))


def test_lamini() -> None:
    one, many = lamini_request(model_name="m", prompt="a"), lamini_request(model_name="m", prompt=["a", "b"])
    assert (one.model, one.call.items, many.call.items) == ("m", ("a",), ("a", "b"))
    rows = ({"embedding": Raw(b"[1,2.50]")}, {"embedding": Raw(b"[3]"), "index": Raw(b"1")})
    assert lamini_embedding.encode(one, Vectors(rows[:1])) == b'{"embedding":[1,2.50]}'
    assert lamini_embedding.encode(many, Vectors(rows)) == b'{"embedding":[[1,2.50],[3]]}'
    listed = lamini_request(model_name="m", prompt=["a"])
    assert lamini_embedding.encode(listed, Vectors(rows[:1])) == b'{"embedding":[[1,2.50]]}'


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"prompt": "a"}, 422),
        ({"model_name": "m"}, 422),
        ({"model_name": "m", "prompt": 1}, 422),
        ({"model_name": "m", "prompt": ""}, 400),
        ({"model_name": "m", "prompt": []}, 400),
        ({"model_name": "m,n", "prompt": "a"}, 400),
    ],
)
def test_what_lamini_refuses(wrong: dict[str, Any], status: int) -> None:
    with pytest.raises(BadRequest) as raised:
        lamini_request(**wrong)
    assert lamini.status(raised.value) == status


def test_the_answer_in_openais_form() -> None:
    request = decode(model="mine", input=["a", "b"])
    rows = (
        {"embedding": Raw(b"[1]"), "index": Raw(b"7"), "new": Raw(b"null")},
        {"object": Raw(b'"embedding"'), "embedding": Raw(b"[2]")},
    )
    raw = {"id": Raw(b'"x"'), "model": Raw(b'"theirs"')}
    told = msgspec.json.decode(embeddings.encode(request, Vectors(rows, Usage(3, 0), raw)))
    assert told == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [1], "new": None},
            {"object": "embedding", "index": 1, "embedding": [2]},
        ],
        "model": "mine",
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
        "id": "x",
    }


def test_a_long_call_is_divided() -> None:
    call = Embed("m", ("a", "b", "c"), written=Raw(b'["a","b","c"]'))
    assert parts(call, None) == parts(call, 3) == [call]
    assert parts(call, 2) == [Embed("m", ("a", "b")), Embed("m", ("c",))]


class Pairs(OpenAIEmbedder):
    most: int | None = 2


def answers(usage: int | None = 4, size: int = 2) -> Any:
    """A vector for each item, whose first number is the item's own."""

    async def play(request: HttpRequest, feed: Feed | None) -> HttpResponse:
        await asyncio.sleep(0)
        items = msgspec.json.decode(request.body)["input"]
        data = [{"index": i, "embedding": [float(item), *[0.5] * (size - 1)]} for i, item in enumerate(items)]
        told = usage and {"prompt_tokens": usage, "total_tokens": usage}
        return HttpResponse(200, [], msgspec.json.encode({"data": data, "usage": told}))

    return play


def embedding_target(upstream: Playing, model: str, kind: type[OpenAIEmbedder] = Pairs, **more: Any) -> Target:
    return target(upstream, model, embedder=kind(Host(base_url="http://provider.test/v1")), **more)


def asked(*items: str, **more: Any) -> EmbeddingRequest:
    return EmbeddingRequest("m", Embed("", items, **more))


def measured(
    request: EmbeddingRequest, first: Asking, rest: tuple[Target, ...] = (), book: Notebook | None = None
) -> LegResult:
    """A leg's result before anything has come of it, with a real meter."""
    leg = leg_of(request, "m", first, rest)
    return LegResult(leg, CLOCK.steady(), meter=(book or Notebook()).meter())


async def attempted(target: Target, request: EmbeddingRequest, book: Notebook | None = None) -> Vectors:
    made = asking(target, request.call)
    return await attempt(made, measured(request, made, book=book), 1.0)


async def tried(
    request: EmbeddingRequest, targets: tuple[Target, ...], book: Notebook | None = None
) -> tuple[Vectors, Target, int]:
    """As the route does it."""
    first, rest = first_expressible(request, targets)
    result = measured(request, first, rest, book)
    assert result.meter is not None
    try:
        return await embedded(request, first, result, CLOCK)
    finally:
        result.meter.end(result)


def firsts(vectors: Vectors) -> list[float]:
    return [msgspec.json.decode(row["embedding"])[0] for row in vectors.rows]


@pytest.mark.parametrize("gate", [None, Bounded(1, 8)])
async def test_parts_are_put_together_in_order(gate: Bounded | None) -> None:
    upstream, book = Playing(a=answers()), Notebook()
    vectors = await attempted(embedding_target(upstream, "a", gate=gate), asked(*"0123456"), book)
    assert firsts(vectors) == [0, 1, 2, 3, 4, 5, 6]
    assert vectors.usage == Usage(16, 0)
    assert upstream.asked == ["a"] * 4
    assert len(book.begun) == 1  # the target is noted once, however many requests it takes


async def test_usage_is_estimated_where_it_is_not_reported() -> None:
    vectors = await attempted(embedding_target(Playing(a=answers(None)), "a"), asked("1", "2", "30000"))
    assert vectors.usage == Usage(1 + 1 + 2, 0, estimated=True)


async def test_one_failed_part_ends_the_others(caplog: pytest.LogCaptureFixture) -> None:
    upstream = Playing(a=fails(500))
    with pytest.raises(Unavailable):
        await attempted(embedding_target(upstream, "a"), asked(*"0123456789"))
    assert len(upstream.asked) <= 4
    gc.collect()
    assert not caplog.records  # asyncio speaks of failures that nobody has looked at


async def test_the_next_target_is_asked_after_an_outage() -> None:
    upstream, book = Playing(a=fails(500), b=answers()), Notebook()
    targets = (embedding_target(upstream, "a"), embedding_target(upstream, "b"))
    vectors, target, attempts = await tried(asked("5"), targets, book)
    assert (firsts(vectors), target.model, attempts, upstream.asked) == ([5], "b", 2, ["a", "b"])
    assert [(entry.target, entry.outcome, entry.requests, entry.input) for entry in book.entries] == [
        ("p/a", "failed", 0, 0), ("p/b", "ok", 1, 4),
    ]  # fmt: skip


async def test_after_an_outage_targets_without_words_are_passed_over() -> None:
    class Mute(OpenAIEmbedder):
        def body(self, call: Embed) -> Any:
            raise Rejected("no word", param="input")

    upstream = Playing(a=fails(503), c=answers())
    request = asked("5")
    targets = (
        embedding_target(upstream, "a"), embedding_target(upstream, "b", Mute), embedding_target(upstream, "c"),
    )  # fmt: skip
    vectors, target, attempts = await tried(request, targets)
    assert (firsts(vectors), target.model, attempts, upstream.asked) == ([5], "c", 2, ["a", "c"])
    with pytest.raises(Unanswered) as raised:  # and where none is left, the outage is told
        await tried(request, targets[:2])
    assert (raised.value.status, raised.value.param) == (502, None)


@pytest.mark.parametrize(
    ("status", "told", "called"),
    [(400, 400, ["a"]), (429, 429, ["a", "a"]), (500, 502, ["a", "a"]), (504, 504, ["a"] * 2)],
)
async def test_failures(status: int, told: int, called: list[str]) -> None:
    upstream, book = Playing(a=fails(status, [(b"retry-after", b"7")])), Notebook()
    targets = (embedding_target(upstream, "a"), embedding_target(upstream, "a"))
    with pytest.raises(Unanswered) as raised:
        await tried(asked("5"), targets, book)
    assert raised.value.status == told
    assert upstream.asked == called
    assert raised.value.retry_after == (7 if told == 429 else None)
    assert [(leg.model, leg.index) for leg in raised.value.legs] == [("m", 0)]
    assert [entry.outcome for entry in book.entries] == ["failed"] * len(called)
    assert [entry.requests for entry in book.entries] == [0] * (len(called) - 1) + [1]


async def test_targets_without_words_are_passed_over() -> None:
    class Mute(OpenAIEmbedder):
        def body(self, call: Embed) -> Any:
            raise Rejected("no word", param="dimensions")

    upstream = Playing(b=answers())
    request = asked("5")
    targets = (
        target(upstream, "none"), embedding_target(upstream, "a", Mute), embedding_target(upstream, "b"),
    )  # fmt: skip
    first, rest = first_expressible(request, targets)
    assert (first.target.model, rest) == ("b", ())
    with pytest.raises(BadRequest, match="model 'm': its provider gives no embeddings") as raised:
        first_expressible(request, targets[:2])
    assert raised.value.param == "model"
    with pytest.raises(BadRequest, match="model 'm': no word") as raised:
        first_expressible(request, targets[1:2])
    assert raised.value.param == "dimensions"


async def test_vectors_of_another_size_are_refused() -> None:
    request = asked("1", dimensions=2)
    with pytest.raises(Rejected, match="this model's vectors have 3 numbers") as raised:
        await attempted(embedding_target(Playing(a=answers(size=3)), "a"), request)
    assert raised.value.param == "dimensions"
    assert await attempted(embedding_target(Playing(a=answers(size=2)), "a"), request)


async def test_floats_become_base64() -> None:
    request = asked(*[str(i) for i in range(130)], base64=True)
    vectors = await attempted(embedding_target(Playing(a=answers()), "a", OpenAIEmbedder), request)
    assert len(vectors.rows) == 130
    assert vectors.rows[1]["embedding"] == Raw(b'"AACAPwAAAD8="')


async def test_vectors_that_cannot_be_read_are_the_providers_failure() -> None:
    async def play(request: HttpRequest, feed: Feed | None) -> HttpResponse:
        return HttpResponse(200, [], b'{"data":[{"embedding":["x"]}]}')

    with pytest.raises(Garbled):
        await attempted(embedding_target(Playing(a=play), "a"), asked("1", base64=True))


async def test_a_caller_who_leaves_ends_every_part() -> None:
    async def play(request: HttpRequest, feed: Feed | None) -> HttpResponse:
        await asyncio.sleep(60)
        raise AssertionError

    upstream, book = Playing(a=play), Notebook()
    task = asyncio.create_task(tried(asked(*"0123456789"), (embedding_target(upstream, "a"),), book))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert upstream.cancelled == upstream.asked == ["a"] * 4
    [entry] = book.entries
    assert (entry.outcome, entry.calls) == ("cancelled", 4)


async def test_each_part_of_a_long_call_is_a_request_that_is_reserved_for() -> None:
    rates = RateTable(((0, Rates(input=0, output=0, request=1000)),))
    one = embedding_target(Playing(a=answers()), "a", rates=rates, estimator=Estimator())
    request = asked(*"0123456789")
    gate = Gate({"team/red": Limits(usd_month=5000)})
    leg = leg_of(request, "m", *first_expressible(request, (one,)))
    admitted = await gate.admit(leg)
    assert gate.count("team", "red")[1] == 5000
    result = LegResult(leg, CLOCK.steady(), meter=admitted.meters[0])
    await embedded(request, first_expressible(request, (one,))[0], result, CLOCK)
    admitted.meters[0].end(result)
    assert [(entry.calls, entry.cost) for entry in gate.book.entries] == [(5, 5000)]
