"""Calls that ask the same at once: what each of them costs beside the one that asks the provider."""

from contextlib import ExitStack
from dataclasses import replace

from bench.measure import Bench, Bystanders, Running, Sample, calls_complaint
from bench.peers import Peer
from bench.programs import Load, generate
from bench.scenarios import ANSWER_TEXT, MARK, Scenario

TOGETHER = 20

BURSTS = Scenario("same", clients=TOGETHER, bursts=True)
"""To a provider that takes 20 ms, so that all of a burst have come before it has answered."""

EACH = Scenario("same", clients=TOGETHER)
"""The same but for the words, so that each is a call of its own."""


def coalesced(bench: Bench, peer: Peer) -> list[Sample]:
    with bench.running(peer) as target:
        return repeated(bench, [target])


def repeated(bench: Bench, targets: list[Running]) -> list[Sample]:
    """By one gateway, or by two that take every other call."""
    load = replace(targets[0].load("same"), other_port=targets[1].port if len(targets) > 1 else 0)
    load = replace(load, clients=TOGETHER, mark=MARK, text=ANSWER_TEXT)
    generate(replace(load, seconds=bench.options.warm_up), bench.cores.load)
    return [sample(bench, targets, load) for _ in range(bench.options.reps)]


def sample(bench: Bench, targets: list[Running], load: Load) -> Sample:
    """A burst costs what one call of its own does, and so many followers."""
    bystanders = Bystanders(bench.mock)
    taken, used, complaint = [], 0.0, ""
    for scenario in (EACH, BURSTS):
        asked, before = bench.provider_calls(), [target.process.usage() for target in targets]
        outcome = generate(replace(load, seconds=bench.options.seconds, bursts=scenario.bursts), bench.cores.load)
        cpu_s = sum([target.process.usage().since(was) for target, was in zip(targets, before, strict=True)])
        calls = bench.provider_calls() - asked
        complaint = complaint or outcome.complaint() or calls_complaint(scenario, outcome.requests, calls)
        taken.append(cpu_s / max(1, outcome.requests) * 1e6)
        used += cpu_s + outcome.cpu_s
    each, shared = taken
    figures = {
        "cpu_us": (TOGETHER * shared - each) / (TOGETHER - 1),
        "leader_cpu_us": each,
        "burst_cpu_us": TOGETHER * shared,
    }
    return Sample(figures, bystanders.cores(used), complaint)


def coalesced_by_two(bench: Bench, peer: Peer) -> list[Sample]:
    """Two replicas on one state folder, as two processes of one machine are; ``peer`` knows a Redis."""
    state = bench.folder / "together"
    state.mkdir(exist_ok=True)
    both = replace(peer, env={**peer.env, "GATEWAY_STATE_DIR": str(state)})
    with ExitStack() as stack:
        return repeated(bench, [stack.enter_context(bench.running(both)) for _ in range(2)])
