"""Measuring: a peer is started, loaded and watched; every repetition becomes a sample."""

import http.client
import json
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import Problem
from bench.machine import Cores, busy_seconds, calibrate
from bench.peers import Peer, chat_body, environment, fill, find_binary
from bench.processes import Process, Usage
from bench.programs import Load, Outcome, build, generate
from bench.scenarios import EVENTS, MARK, NUMBERED, SCENARIOS, TYPED_ANSWER, Ask, Scenario

START_LIMIT_S = 60
POLL_S = 0.004
MOCK_PATH = "/v1/chat/completions"


@dataclass(frozen=True)
class Options:
    """How long and how often."""

    reps: int = 5
    seconds: float = 2  # of load in one repetition
    warm_up: float = 0.5  # seconds of it before the first repetition of a scenario
    memory_requests: int = 200_000
    calls: int = 1_000  # typed ones, of the demo model
    foreign: float = 0.15  # cores that others may use before a repetition counts as disturbed
    patience: int = 2  # disturbed repetitions are done again, up to this many times `reps` in all


@dataclass(frozen=True)
class Sample:
    """One repetition: figures by name (which ends in the unit), and whether to believe them."""

    figures: Mapping[str, float]
    foreign: float  # cores used by processes that are none of ours
    complaint: str = ""  # what was wrong with the answers
    notes: Sequence[str] = ()  # what the table has no room for


@dataclass(frozen=True)
class Running:
    """A peer that serves."""

    peer: Peer
    process: Process
    port: int
    work: Path
    start_s: float  # from the start of the process to the first good answer

    def load(self, ask: Ask) -> Load:
        """The request of this kind, as this peer wants it."""
        body = self.peer.body(ask)
        if body is None:
            raise ValueError(f"{self.peer.name} has no request of kind {ask}")
        file = self.work / f"{ask}.json"
        file.write_bytes(body)
        return Load(self.port, self.peer.path_of(ask), file, self.peer.headers)


class Bystanders:
    """How much of the machine processes other than ours use, from here on."""

    def __init__(self, mock: Process) -> None:
        self._mock, self._mock_before = mock, mock.usage()
        self._busy, self._own, self._clock = busy_seconds(), time.process_time(), time.monotonic()

    def cores(self, ours: float) -> float:
        """Cores they used; `ours` is the CPU seconds of the peer and the load generator meanwhile."""
        mock = self._mock.usage().since(self._mock_before)
        foreign = busy_seconds() - self._busy - mock - (time.process_time() - self._own) - ours
        return max(0.0, foreign) / (time.monotonic() - self._clock)


@dataclass
class Bench:
    """The mock provider, the work folder and the settings that all measurements share."""

    options: Options
    cores: Cores
    folder: Path
    mock: Process
    mock_port: int
    calibrations_ms: list[float] = field(default_factory=list)

    @contextmanager
    def running(self, peer: Peer) -> Iterator[Running]:
        """A peer started in a new folder, from its first good answer on."""
        port, work = free_port(), Path(tempfile.mkdtemp(prefix=f"{peer.name}-", dir=self.folder))
        work.chmod(0o755)  # nginx started by root serves as somebody else
        values = {"port": port, "mock": self.mock_port, "work": work}
        for name, text in peer.files.items():
            (work / name).write_text(fill(text, values))
        command = [find_binary(peer), *(fill(part, values) for part in peer.command[1:])]
        process = Process(command, self.cores.gateway, work / "log", environment(peer, values), peer.cwd)
        try:
            start_s = wait_for_answer(peer, process, port)
            yield Running(peer, process, port, work, start_s)
        finally:
            process.stop()

    def warm_up(self, target: Running, scenario: Scenario) -> None:
        """At full speed: connects, imports and fills what is not to be measured."""
        load = replace(target.load(scenario.ask), seconds=self.options.warm_up)
        self._generate(load, replace(scenario, rate=0))

    def direct(self, scenario: Scenario) -> Outcome:
        """The same load straight to the mock provider."""
        body = self.folder / "direct.json"
        body.write_bytes(chat_body(scenario.ask) or b"")
        return self._generate(Load(self.mock_port, MOCK_PATH, body, seconds=self._seconds(scenario)), scenario)

    def repetition(self, target: Running, scenario: Scenario, direct: Outcome | None) -> Sample:
        """CPU, latency and throughput under one stretch of load; latency added to that of `direct`, if given."""
        self.calibrations_ms.append(calibrate(self.cores.gateway))
        load = replace(target.load(scenario.ask), seconds=self._seconds(scenario))
        asked = self.provider_calls()
        bystanders, before = Bystanders(self.mock), target.process.usage()
        outcome = self._generate(load, scenario)
        cpu_s = target.process.usage().since(before)
        foreign = bystanders.cores(cpu_s + outcome.cpu_s)
        figures = figures_of(outcome, cpu_s)
        complaint = outcome.complaint() or calls_complaint(scenario, outcome.requests, self.provider_calls() - asked)
        if direct is not None:
            figures["added_p50_us"] = outcome.latency_us.p50 - direct.latency_us.p50
            figures["added_p99_us"] = outcome.latency_us.p99 - direct.latency_us.p99
        return Sample(figures, foreign, complaint)

    def provider_calls(self) -> int:
        """How many calls the provider has got."""
        connection = http.client.HTTPConnection("127.0.0.1", self.mock_port, timeout=20)
        try:
            connection.request("GET", "/calls")
            return int(json.loads(connection.getresponse().read())["calls"])
        finally:
            connection.close()

    def memory(self, peer: Peer) -> Sample:
        """Resident megabytes of a fresh process tree: at once, after a tenth of the requests, after all."""
        total, one = self.options.memory_requests, SCENARIOS["one"]
        stages = {"rss_tenth_mb": total // 10, "rss_mb": total - total // 10}
        bystanders = Bystanders(self.mock)
        with self.running(peer) as target:
            figures, ours, complaint = {"rss_idle_mb": target.process.rss_mb()}, 0.0, ""
            for name, requests in stages.items():
                outcome = self._generate(replace(target.load("one"), requests=requests), one)
                figures[name] = target.process.rss_mb()
                ours += outcome.cpu_s
                complaint = complaint or outcome.complaint()
            ours += target.process.usage().since(Usage({}, 0))
            return Sample(figures, bystanders.cores(ours), complaint)

    def install(self, peer: Peer) -> None:
        """A start that is not measured: the first one compiles what it imports, and an installation has done that."""
        with self.running(peer):
            pass

    def start(self, peer: Peer) -> Sample:
        """Seconds from nothing to the first good answer, with an empty state folder."""
        bystanders = Bystanders(self.mock)
        with self.running(peer) as target:
            ours = target.process.usage().since(Usage({}, 0))
            return Sample({"start_s": target.start_s}, bystanders.cores(ours))

    def _seconds(self, scenario: Scenario) -> float:
        """A low rate needs longer for a 99th percentile that means something."""
        return self.options.seconds * (2 if scenario.rate else 1)

    def _generate(self, load: Load, scenario: Scenario) -> Outcome:
        if scenario.streams:
            load = replace(load, events=EVENTS)
        else:
            load = replace(load, text=scenario.answer_text, times=scenario.answers)
        if scenario.ask in NUMBERED:
            load = replace(load, mark=MARK, bursts=scenario.bursts)
        return generate(replace(load, clients=scenario.clients, rate=scenario.rate), self.cores.load)


@contextmanager
def prepared(options: Options, cores: Cores) -> Iterator[Bench]:
    """A bench with its mock provider running, in a folder that goes away."""
    program = str(build("mock_provider"))
    build("loadgen")
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        folder, port = Path(name), free_port()
        folder.chmod(0o755)
        mock = Process([program, str(port), json.dumps(TYPED_ANSWER)], cores.load, folder / "mock.log")
        try:
            wait_for_port(mock, port)
            yield Bench(options, cores, folder, mock, port)
        finally:
            mock.stop()


def figures_of(outcome: Outcome, cpu_s: float) -> dict[str, float]:
    """The figures of one stretch of load, for which the peer's processes used `cpu_s` CPU seconds."""
    figures = {
        "cpu_us": cpu_s / max(1, outcome.requests) * 1e6,
        "rate": outcome.rate,
        "p50_us": outcome.latency_us.p50,
        "p99_us": outcome.latency_us.p99,
    }
    if outcome.events:
        figures |= {
            "cpu_us_per_event": cpu_s / outcome.events * 1e6,
            "first_byte_p50_us": outcome.first_byte_us.p50,
            "event_delay_p50_us": outcome.event_delay_us.p50,
            "event_delay_p99_us": outcome.event_delay_us.p99,
        }
    return figures


def calls_complaint(scenario: Scenario, requests: int, calls: int) -> str:
    """What is wrong with how often the provider was asked; empty if nothing. A first target that fails answers now and
    then, and then the second is not asked."""
    wanted = scenario.provider_calls(requests)
    spared = wanted // 1000 if scenario.ask == "fallback" else 0
    if wanted - spared <= calls <= wanted:
        return ""
    return f"bad answers: {requests} requests were {calls} calls for the provider, not {wanted}"


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(process: Process, port: int) -> None:
    """Until somebody listens there."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            _still_starting("the mock provider", process, "it does not listen")


def wait_for_answer(peer: Peer, process: Process, port: int) -> float:
    """Seconds from the start of the process until it was ready and had answered a request."""
    headers = dict(header.split(": ", 1) for header in peer.headers)
    headers["Content-Type"] = "application/json"
    steps: list[tuple[str, str, bytes | None]] = [("POST", peer.path_of("one"), peer.body("one"))]
    if peer.ready:
        steps.insert(0, ("GET", peer.ready, None))
    for method, path, body in steps:
        while (answer := _ask(port, method, path, body, headers)) != "200":
            _still_starting(peer.name, process, f"{method} {path}: {answer}")
    return time.monotonic() - process.started


def _ask(port: int, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> str:
    """The status of the answer, with the start of its text when it is not 200; or what went wrong."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        text = answer.read(200).decode(errors="replace")
        return "200" if answer.status == 200 else f"{answer.status} {text}"
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()


def _still_starting(name: str, process: Process, why: str) -> None:
    """Wait a little; a Problem when the process has ended, or has had long enough."""
    status = process.exit_status()
    late = time.monotonic() - process.started > START_LIMIT_S
    if status is None and not late:
        time.sleep(POLL_S)
        return
    how = f"did not answer within {START_LIMIT_S} s ({why})" if status is None else f"ended with status {status}"
    raise Problem(f"{name} {how}; its last lines:\n{process.last_words()}")
