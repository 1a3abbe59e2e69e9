"""A kept answer in the form in which it is wanted: a stream's pieces gathered, or a whole answer in pieces.

What pieces in OpenAI's form come to is told in https://platform.openai.com/docs/api-reference/chat-streaming: texts are
continued, tool calls are continued by their index, lists go on.
"""

from typing import Any

import msgspec
from msgspec import Raw

from adapters.chat import weight
from adapters.types import Choice, Delta, Fields, Reply
from gateway.caching.entry import Kept
from gateway.choices import pieces

NAMES = frozenset({"format", "id", "name", "role", "type"})
"""Texts that are said once: who says them again does not continue them."""

NOT_WHOLE = frozenset({"obfuscation", "usage"})
"""Top-level fields of a stream's events that a whole answer has not, or elsewhere."""

NULL = Raw(b"null")

to_json = msgspec.json.Encoder().encode
decode_piece = msgspec.json.Decoder(dict[str, Any]).decode


def whole(kept: Kept) -> Reply:
    """The answer for a caller who does not stream."""
    if not kept.batches:
        return Reply(kept.choices, kept.usage, kept.raw)
    told: dict[int, list[Delta]] = {choice.index: [] for choice in kept.choices}
    for shift, deltas in kept.batches:
        for delta in deltas:
            told[shift + delta.index].append(delta)
    choices = tuple([gathered(choice, told[choice.index]) for choice in kept.choices])
    return Reply(choices, kept.usage, around(told[kept.choices[0].index]))


def batches(kept: Kept, rich: bool) -> list[tuple[int, list[Delta]]]:
    """The answer for a caller who streams: what each read brought, as it was told; of a whole answer each choice by
    itself. Each is how far the pieces' indexes are from their places in the leg, and the pieces. The choices' ends are
    told as ever. ``rich``: the caller speaks OpenAI's wire, and the call has fields."""
    if kept.batches:
        return [(shift, list(deltas)) for shift, deltas in kept.batches]
    return [(0, pieces(c.index, c.text, c.raw if rich else None, kept.raw)) for c in kept.choices]


def sizes(kept: Kept) -> list[int]:
    """What each choice of the replayed stream comes to, in characters, as ``LegResult.sent`` counts them."""
    if not kept.batches:
        return [len(choice.text) or 1 for choice in kept.choices]
    found = [0] * len(kept.choices)
    for shift, deltas in kept.batches:
        for delta in deltas:
            found[shift + delta.index] += weight(delta)
    return found


def gathered(choice: Choice, deltas: list[Delta]) -> Choice:
    """One choice of all its pieces."""
    text = "".join([delta.text for delta in deltas])
    said = [decode_piece(delta.raw) for delta in deltas if delta.raw is not None]
    return Choice(choice.index, text, choice.finish, choice.usage, made(said, text, choice.index) if said else None)


def made(said: list[dict[str, Any]], text: str, index: int) -> Fields:
    """A choice in OpenAI's form. ``said`` are its pieces, ``text`` is what they come to."""
    found: dict[str, Any] = {"index": index}
    parts: list[dict[str, Any]] = []
    for piece in said:
        for name, value in piece.items():
            if name == "delta":
                parts.append(value or {})
            elif name not in ("index", "text"):
                found[name] = latest(found.get(name), value)
    if parts:
        found["message"] = message(parts, text)
    else:
        found["text"] = text
    return {name: Raw(to_json(value)) for name, value in found.items()}


def message(parts: list[dict[str, Any]], text: str) -> dict[str, Any]:
    """A message of its pieces. It has a content, unless it is a tool call or the like."""
    found: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    for part in parts:
        for name, value in part.items():
            if name == "tool_calls":
                found[name] = called(found.get(name) or [], value or [])
            elif name != "content":
                found[name] = continued(name, found.get(name), value)
    if not found.get("tool_calls", True):
        del found["tool_calls"]
    for call in found.get("tool_calls", ()):
        call.pop("index", None)
    instead = found.get("tool_calls") or found.get("function_call") or found["refusal"] or found.get("audio")
    found["content"] = text or (None if instead else "")
    return found


def called(calls: list[dict[str, Any]], more: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tool calls, and what more is said of them. Where a piece has no index, an id begins a call, and what has none
    goes on with the last."""
    for piece in more:
        at = piece.get("index")
        if at is None:
            known = calls[-1] if calls and not piece.get("id") else None
        else:
            known = next((call for call in calls if call.get("index") == at), None)
        if known is None:
            calls.append(piece)
        else:
            known |= {name: continued(name, known.get(name), value) for name, value in piece.items()}
    return calls


def continued(name: str, before: Any, value: Any) -> Any:
    """What a part of a message is after one more piece."""
    if value is None or before is None:
        return before if value is None else value
    if isinstance(before, str) and isinstance(value, str):
        return (before or value) if name in NAMES else before + value
    if isinstance(before, dict) and isinstance(value, dict):
        before.update({inner: continued(inner, before.get(inner), one) for inner, one in value.items()})
    elif isinstance(before, list) and isinstance(value, list):
        before += value
    else:
        return value
    return before


def latest(before: Any, value: Any) -> Any:
    """What a part of a choice is after one more piece: lists go on, also within, and of all else the last counts."""
    if value is None or before is None:
        return before if value is None else value
    if isinstance(before, dict) and isinstance(value, dict):
        before.update({inner: latest(before.get(inner), one) for inner, one in value.items()})
    elif isinstance(before, list) and isinstance(value, list):
        before += value
    else:
        return value
    return before


def around(deltas: list[Delta]) -> Fields | None:
    """What is said beside the choices; of what is said several times, the last that is something."""
    found: Fields = {}
    seen: Fields | None = None
    for delta in deltas:
        if delta.more is None or delta.more is seen:
            continue
        seen = delta.more
        found |= {name: value for name, value in seen.items() if name not in found or value != NULL}
    return {name: value for name, value in found.items() if name not in NOT_WHOLE} or None
