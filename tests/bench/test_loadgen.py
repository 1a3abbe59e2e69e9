"""The load generator tells good answers from bad ones, and the mock provider gives good ones."""

import http.client
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bench.machine import choose_cores
from bench.measure import free_port, wait_for_port
from bench.peers import chat_body
from bench.processes import Process
from bench.programs import Load, Outcome, build, generate
from bench.scenarios import ANSWER_TEXT, MARK

pytestmark = pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="needs a C compiler")
CORE = choose_cores().load
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
OTHER_TEXT = '{"said": "otherwise"}'
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def mock(tmp_path: Path) -> Iterator[int]:
    port = free_port()
    process = Process([str(build("mock_provider")), str(port), json.dumps(OTHER_TEXT)], CORE, tmp_path / "log")
    wait_for_port(process, port)
    yield port
    process.stop()


@pytest.fixture
def body(tmp_path: Path) -> Path:
    file = tmp_path / "body.json"
    file.write_bytes(chat_body("one") or b"")
    return file


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def load_on(answer: bytes, body: Path, **wanted: object) -> Outcome:
    """One request to a server that gives this answer and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(65536)
                client.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        load = Load(server.getsockname()[1], "/", body, requests=1)
        return generate(Load(**{**vars(load), **wanted}), CORE)


def bad(outcome: Outcome) -> dict[str, int]:
    return {kind: n for kind, n in outcome.bad.items() if n}


def test_good_answers_are_good(body: Path) -> None:
    assert bad(load_on(GOOD, body, text="hell")) == {}


@pytest.mark.parametrize(
    ("answer", "wanted", "kind"),
    [
        (b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\n{}", {}, "status"),
        (GOOD[:-1], {}, "broken"),
        (GOOD + b"!", {}, "broken"),
        (GOOD, {"text": "l", "times": 3}, "text"),
        (STREAM + chunk(b"data: 1\n\n") + b"0\r\n\r\n", {"events": 0}, "no_done"),
        (STREAM + chunk(b"data: [DONE]\n\n"), {"events": 0}, "broken"),
        (STREAM + chunk(b"data: @123456789@\n\ndata: [DONE]\n\n") + b"0\r\n\r\n", {"events": 2}, "events"),
        (GOOD, {"events": 0}, "no_done"),
    ],
)
def test_bad_answers_are_counted_by_kind(body: Path, answer: bytes, wanted: dict[str, object], kind: str) -> None:
    assert bad(load_on(answer, body, **wanted)) == {kind: 1}


def test_the_mock_gives_whole_answers(mock: int, body: Path) -> None:
    for path in ("/v1/chat/completions", "/v1/completions"):
        outcome = generate(Load(mock, path, body, clients=4, requests=400, text=ANSWER_TEXT), CORE)
        assert (outcome.requests, outcome.complaint(), outcome.reconnects) == (400, "", 0)


def test_the_mock_gives_the_text_that_it_was_given(mock: int, body: Path) -> None:
    body.write_text(json.dumps({"model": "m--t", "messages": []}))
    for path in ("/v1/chat/completions", "/v1/completions"):
        text = json.dumps(OTHER_TEXT)
        outcome = generate(Load(mock, path, body, clients=4, requests=40, text=text), CORE)
        assert (outcome.requests, outcome.complaint()) == (40, "")


def test_the_mock_paces_its_events(mock: int, body: Path) -> None:
    body.write_text(json.dumps({"model": "m--k20--d2000", "stream": True, "messages": []}))
    outcome = generate(Load(mock, "/v1/chat/completions", body, clients=3, requests=6, events=20), CORE)
    assert (outcome.complaint(), outcome.events) == ("", 120)
    assert outcome.latency_us.p50 > 20 * 2000


def test_an_open_loop_counts_the_time_a_request_waited_to_be_sent(mock: int, body: Path) -> None:
    body.write_text(json.dumps({"model": "m--l10000", "messages": []}))
    # One client, 10 ms an answer, a request due every 5 ms: the 20th is 100 ms late.
    outcome = generate(Load(mock, "/v1/completions", body, requests=20, rate=200), CORE)
    assert outcome.requests == 20
    assert outcome.latency_us.max > 90_000


def calls(mock: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", mock)
    connection.request("GET", "/calls")
    found = json.loads(connection.getresponse().read())["calls"]
    connection.close()
    assert isinstance(found, int)
    return found


def test_the_mock_counts_its_calls_and_fails_when_asked_to(mock: int, body: Path) -> None:
    before = calls(mock)
    body.write_text(json.dumps({"model": "m--s503", "messages": []}))
    outcome = generate(Load(mock, "/v1/chat/completions", body, clients=2, requests=4_100, text=ANSWER_TEXT), CORE)
    assert (outcome.requests, bad(outcome), outcome.bad_status) == (4_100, {"status": 4_099}, 503)
    assert calls(mock) - before == 4_100


class Hearing:
    """A server that answers each request and keeps the bodies; ``together`` requests are answered at once."""

    def __init__(self, together: int) -> None:
        self.bodies: list[str] = []
        self._together = together
        self._waiting: list[socket.socket] = []
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            while data := client.recv(65536):
                with self._lock:
                    self._heard(client, data)

    def _heard(self, client: socket.socket, data: bytes) -> None:
        self.bodies.append(data.partition(b"\r\n\r\n")[2].decode())
        self._waiting.append(client)
        if len(self._waiting) == self._together:
            for each in self._waiting:
                each.sendall(GOOD)
            self._waiting.clear()


def test_numbered_requests_differ_also_from_those_of_a_run_before(body: Path) -> None:
    body.write_text(f"what is {MARK}?")
    with closing(Hearing(1)) as server:
        for _ in range(2):
            assert bad(generate(Load(server.port, "/", body, clients=3, requests=20, mark=MARK), CORE)) == {}
    assert len(set(server.bodies)) == 40
    assert all(one[8:-1].isdigit() and len(one) == len(body.read_text()) for one in server.bodies)


def test_a_burst_asks_the_same_at_once_and_at_two_ports(body: Path) -> None:
    body.write_text(f"what is {MARK}?")
    with closing(Hearing(2)) as one, closing(Hearing(2)) as other:
        load = Load(one.port, "/", body, clients=4, requests=12, mark=MARK, bursts=True, other_port=other.port)
        outcome = generate(load, CORE)
    assert (outcome.requests, outcome.complaint()) == (12, "")
    for server in (one, other):
        assert len(server.bodies) == 6 and sorted(server.bodies) == sorted(one.bodies)
        assert len(set(server.bodies)) == 3
        assert all(server.bodies[i] == server.bodies[i + 1] for i in (0, 2, 4))
