"""Providers that play: Anthropic's Messages API and Gemini's generateContent, in the bytes of their references.

https://docs.anthropic.com/en/api/messages and https://ai.google.dev/api/generate-content
"""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct, field


class Script(Struct):
    """One answer. Of a ``slow`` stream only the first piece comes, until the caller leaves."""

    body: bytes = b""
    status: int = 200
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    slow: bool = False


class Seen(Struct):
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class Provider:
    """Answers every POST with ``script``; ``gone`` is set when a caller leaves in the middle of it."""

    def __init__(self) -> None:
        self.script = Script()
        self.seen: list[Seen] = []
        self.gone = threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def plays(self, script: Script) -> None:
        self.script = script
        self.seen.clear()
        self.gone.clear()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def handler(provider: Provider) -> Callable[..., http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            sent = {name.lower(): value for name, value in self.headers.items()}
            provider.seen.append(Seen(self.path, sent, body))
            script = provider.script
            self.send_response(script.status)
            self.send_header("content-type", script.kind)
            for name, value in script.headers.items():
                self.send_header(name, value)
            if not script.slow:
                self.send_header("content-length", str(len(script.body)))
                self.end_headers()
                self.wfile.write(script.body)
                return
            self.end_headers()
            self.close_connection = True
            self.wfile.write(script.body)
            self.wfile.flush()
            if not self.rfile.read(1):  # nothing more is sent: an end is the caller's departure
                provider.gone.set()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    return Handler


def events(*payloads: dict[str, Any], named: bool = False) -> bytes:
    """Server-sent events; Anthropic's are named after their type."""
    return b"".join(
        (f"event: {payload['type']}\n" if named else "").encode() + b"data: " + json.dumps(payload).encode() + b"\n\n"
        for payload in payloads
    )


# --- Anthropic -------------------------------------------------------------------------------------------


def claude(*content: dict[str, Any], stop: str = "end_turn") -> Script:
    """A whole message."""
    return Script(
        json.dumps(
            {
                "id": "msg_013Zva2CMHLNnXjNJJKqJ2EF",
                "type": "message",
                "role": "assistant",
                "model": "claude-sonnet-4-5",
                "content": list(content),
                "stop_reason": stop,
                "stop_sequence": None,
                "usage": {"input_tokens": 12, "output_tokens": 6, "cache_read_input_tokens": 4},
            }
        ).encode()
    )


def claude_said(*texts: str, then: tuple[dict[str, Any], ...] = ()) -> bytes:
    """How a stream begins: its text. ``then`` are further events."""
    message: dict[str, Any] = {
        "id": "msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyY",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "claude-sonnet-4-5",
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 1},
    }
    return events(
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}} for text in texts),
        *then,
        named=True,
    )


def claude_stream(*texts: str) -> Script:
    ends = (
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 6},
        },
        {"type": "message_stop"},
    )
    return Script(claude_said(*texts, then=ends), kind="text/event-stream")


def claude_tool_stream(name: str, *pieces: str) -> Script:
    """A stream that calls a tool."""
    start = {"type": "tool_use", "id": "toolu_01T1x1fJ34qAmk2tNTrN7Up6", "name": name, "input": {}}
    return Script(
        claude_said("Let me look.")
        + events(
            {"type": "content_block_stop", "index": 0},
            {"type": "content_block_start", "index": 1, "content_block": start},
            *(
                {
                    "type": "content_block_delta",
                    "index": 1,
                    "delta": {"type": "input_json_delta", "partial_json": piece},
                }
                for piece in pieces
            ),
            {"type": "content_block_stop", "index": 1},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "tool_use", "stop_sequence": None},
                "usage": {"output_tokens": 9},
            },
            {"type": "message_stop"},
            named=True,
        ),
        kind="text/event-stream",
    )


def claude_error(status: int, kind: str, message: str, **headers: str) -> Script:
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_011"}
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return Script(json.dumps(body).encode(), status, headers=sent)


# --- Gemini ----------------------------------------------------------------------------------------------


def candidate(*parts: dict[str, Any], finish: str | None = None, counted: bool = True) -> dict[str, Any]:
    """One GenerateContentResponse."""
    one: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    if finish is not None:
        one["finishReason"] = finish
    answer: dict[str, Any] = {"candidates": [one], "modelVersion": "gemini-2.5-flash", "responseId": "mAitaLmk"}
    if counted:
        answer["usageMetadata"] = {"promptTokenCount": 8, "candidatesTokenCount": 5, "totalTokenCount": 13}
    return answer


def gemini(*parts: dict[str, Any], finish: str = "STOP") -> Script:
    return Script(json.dumps(candidate(*parts, finish=finish)).encode())


def gemini_stream(*texts: str, counted: bool = True) -> Script:
    def pieces() -> Iterator[dict[str, Any]]:
        for i, text in enumerate(texts):
            yield candidate({"text": text}, finish="STOP" if i == len(texts) - 1 else None, counted=counted)

    return Script(events(*pieces()), kind="text/event-stream")


def gemini_error(status: int, word: str, message: str) -> Script:
    return Script(json.dumps({"error": {"code": status, "message": message, "status": word}}).encode(), status)
