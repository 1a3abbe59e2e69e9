"""More calls than the gateway can answer: what those who are let in wait, and what it costs to refuse the others."""

from dataclasses import replace

from bench.measure import Bench, Bystanders, Sample
from bench.peers import Peer
from bench.programs import generate
from bench.scenarios import SCENARIOS

USUAL, TOO_MUCH = 0.8, 3.0
"""Capacities that are asked for, call by call at a fixed rate, whatever becomes of those before."""

CLIENTS = 2000
"""Connections: so many that none is ever waited for."""

NO_PLACE = "server: {concurrency: 1, queue: 0}\n"


def overload(bench: Bench, peer: Peer) -> list[Sample]:
    return [sample(bench, peer) for _ in range(bench.options.reps)]


def sample(bench: Bench, peer: Peer) -> Sample:
    """Capacity is what the gateway answers to a few clients as fast as it goes, on the way. The load begins at once
    with its full rate, and nothing is left out."""
    one, seconds = SCENARIOS["one"], max(2 * bench.options.seconds, 4)
    bystanders = Bystanders(bench.mock)
    with bench.running(peer) as target:
        bench.warm_up(target, one)
        load = replace(target.load("one"), text=one.answer_text, seconds=seconds)
        free = generate(replace(load, clients=one.clients), bench.cores.load)
        rates = [free.rate * load for load in (USUAL, TOO_MUCH)]
        usual, much = [
            generate(replace(load, clients=CLIENTS, rate=rate, overload=True), bench.cores.load) for rate in rates
        ]
        ours = target.process.usage().threads
        cpu = sum(ours.values()) / 1e9 + free.cpu_s + usual.cpu_s + much.cpu_s
    figures = {
        "usual_p99_us": usual.latency_us.p99,
        "p99_us": much.latency_us.p99,
        "refused_p99_us": much.refusal_us.p99,
    }
    admitted = much.requests - much.refused
    notes = [
        f"overload: {free.rate:,.0f}/s is capacity; at {USUAL:g} of it {usual.refused:,} of {usual.requests:,} calls "
        f"are refused, at {TOO_MUCH:g} {much.refused:,} of {much.requests:,}; {admitted / much.seconds:,.0f}/s let in"
    ]
    return Sample(figures, bystanders.cores(cpu), usual.complaint() or much.complaint(), notes)


def refusals(bench: Bench, peer: Peer) -> list[Sample]:
    """The load of ``one`` where the only place is taken nearly always: all but a few calls are refused."""
    files = {name: NO_PLACE + text if name == "routing.yaml" else text for name, text in peer.files.items()}
    with bench.running(replace(peer, files=files)) as target:
        load = replace(target.load("one"), clients=16, seconds=bench.options.seconds, overload=True)
        found = []
        for _ in range(bench.options.reps):
            bystanders, before = Bystanders(bench.mock), target.process.usage()
            outcome = generate(load, bench.cores.load)
            cpu_s = target.process.usage().since(before)
            share = outcome.refused / max(1, outcome.requests)
            figures = {"cpu_us": cpu_s / max(1, outcome.requests) * 1e6, "refused_share": share}
            found.append(Sample(figures, bystanders.cores(cpu_s + outcome.cpu_s), outcome.complaint()))
        return found
