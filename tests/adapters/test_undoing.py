"""Answers come out as they were asked for, whole and in pieces, with what the provider wrote beside them."""

import msgspec
import pytest
from msgspec import Raw

from adapters.errors import Rejected
from adapters.restoring import Restore
from adapters.sse import Events
from adapters.stream import StreamDecoder
from adapters.types import Call, Chat, Choice, Delta, Params, Reply
from adapters.undoing import UNCHANGED, refuse_logprobs, undoing, undone

JSON = Restore("json")
OPTIONAL = Restore(optional={"type": "object", "properties": {"a": {"type": "string"}}})
CALL = Call("m", Chat(Raw(b"[]")), Params(logprobs=0))


class Told(StreamDecoder):
    """Gives the deltas that it is made with, one an event."""

    def __init__(self, *deltas: Delta) -> None:
        super().__init__(Events())
        self.deltas = list(deltas)

    def read(self, payload: bytes, deltas: list[Delta]) -> None:
        deltas.append(self.deltas.pop(0))
        self.done = not self.deltas


def told(restore: Restore, *deltas: Delta) -> list[list[Delta]]:
    decoder = undoing(Told(*deltas), restore)
    found = [decoder.feed(b"data: x\n\n") for _ in deltas]
    decoder.close()
    return found


def test_a_stream_is_told_as_it_comes_choice_by_choice() -> None:
    role, raw = Delta(0, raw=Raw(b'{"index":0,"delta":{"role":"assistant"}}')), Raw(b'{"delta":{"content":"1"}}')
    found = told(
        JSON,
        role,
        Delta(0, '{"answer"', raw=raw),
        Delta(1, '{"answer": [2', more={"id": Raw(b"1")}),
        Delta(0, ": [1"),
        Delta(1, "]}"),
        Delta(1, finish="stop"),
        Delta(0, "3]}", "length", raw),
    )
    assert found == [
        [role],
        [],
        [Delta(1, "[2", more={"id": Raw(b"1")})],
        [Delta(0, "[1")],
        [Delta(1, "]")],
        [Delta(1, finish="stop")],
        [Delta(0, "3]"), Delta(0, "", "length")],
    ]


def test_pieces_that_stay_keep_what_the_provider_wrote() -> None:
    raw = Raw(b'{"index":0,"delta":{"content":"{\\"b\\": 1"}}')
    end = Raw(b'{"index":0,"delta":{},"finish_reason":"stop"}')
    first, last = Delta(0, '{"b": 1', raw=raw), Delta(0, "", "stop", end)
    found = told(OPTIONAL, first, Delta(0, ', "a": null'), Delta(0, "}"), last)
    assert found == [[first], [], [Delta(0, "}")], [last]]


def test_what_is_held_back_is_told_at_the_end() -> None:
    end = Raw(b'{"index":0,"delta":{},"finish_reason":"length"}')
    found = told(OPTIONAL, Delta(0, '{"b": 1, "a'), Delta(0, "", "length", end))
    assert found == [[Delta(0, '{"b": 1')], [Delta(0, ', "a'), Delta(0, "", "length", end)]]


def test_whole_answers_change_in_both_of_their_forms() -> None:
    message = Raw(b'{"role":"assistant","content":"{\\"answer\\": 1}","refusal":null}')
    reply = Reply(
        (
            Choice(0, '{"answer": 1}', "stop", raw={"message": message, "index": Raw(b"0")}),
            Choice(1, '{"answer": 2}', "stop", raw={"text": Raw(b'"x"')}),
            Choice(2, "no JSON", "stop", raw={"message": Raw(b'{"content":"no JSON"}')}),
        ),
        raw={"id": Raw(b'"1"')},
    )
    first, second, third = undone(reply, JSON).choices
    assert first.text == "1" and first.raw is not None
    assert msgspec.json.decode(first.raw["message"]) == {"role": "assistant", "content": "1", "refusal": None}
    assert (second.text, second.raw) == ("2", {"text": Raw(b'"2"')})
    assert third is reply.choices[2]


def test_where_nothing_was_done_nothing_is_undone() -> None:
    reply, decoder = Reply((Choice(0, "x", "stop"),)), Told()
    assert undone(reply, UNCHANGED) is reply
    assert undoing(decoder, Restore()) is decoder


def test_tokens_of_an_object_around_the_answer_are_not_told() -> None:
    with pytest.raises(Rejected, match="somebody gives this answer inside of an object") as refused:
        refuse_logprobs(CALL, JSON, "somebody")
    assert refused.value.param == "logprobs"
    refuse_logprobs(CALL, UNCHANGED, "somebody")
    refuse_logprobs(Call("m", "x"), JSON, "somebody")
