"""`python -m bench`: measure the gateway, and beside it the peers that are installed."""

import argparse
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from statistics import median

from rich.console import Console

from bench import Problem, report
from bench.conversion import conversion
from bench.demo import demo
from bench.machine import choose_cores, describe
from bench.measure import Bench, Options, Running, Sample, prepared
from bench.overload import overload, refusals
from bench.peers import PEERS, Peer, find_binary, gateway
from bench.scenarios import MEASURED, OURS_ALONE, ROWS, SCENARIOS
from bench.variants import VARIANTS

QUICK = Options(reps=2, seconds=0.4, warm_up=0.2, memory_requests=20_000, calls=100, patience=1)
WIDTH = 150  # of the table where the output is no terminal

Samples = dict[tuple[str, str], list[Sample]]


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rows", help=f"some of the table only: {','.join(ROWS)}")
    parser.add_argument("--reps", type=int, help=f"repetitions of each scenario ({Options.reps})")
    parser.add_argument("--seconds", type=float, help=f"of load in each repetition ({Options.seconds:g})")
    parser.add_argument("--quick", action="store_true", help="about half a minute in all; rougher figures")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there too")
    parser.add_argument("--check", action="store_true", help="exit 1 when a figure misses its target")
    parser.add_argument("--peers", default="nginx", help=f"beside the gateway: {','.join(PEERS)} (nginx)")
    parser.add_argument("--no-gateway", action="store_true", help="measure the peers alone")
    parser.add_argument(
        "--root", type=Path, default=Path(__file__).parents[1], help="the checkout to measure (this one)"
    )
    parser.add_argument(
        "--realtime", action="store_true", help="ahead of all other processes (root): for a busy machine"
    )
    return parser.parse_args(arguments)


def go_first() -> None:
    """Be scheduled before every ordinary process, and so will be what we start from here on."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError as refused:
        raise Problem("--realtime needs root, or the right CAP_SYS_NICE") from refused


def choose_options(given: argparse.Namespace) -> Options:
    """The defaults or --quick's, with what was given beside."""
    chosen = asdict(QUICK if given.quick else Options())
    chosen |= {name: getattr(given, name) for name in ("reps", "seconds") if getattr(given, name) is not None}
    if chosen["reps"] < 1 or chosen["seconds"] <= 0:
        raise Problem("--reps and --seconds must be more than zero")
    return Options(**chosen)


def choose_rows(given: argparse.Namespace) -> list[str]:
    """Keys of ROWS."""
    keys = given.rows.split(",") if given.rows else list(ROWS)
    unknown = [key for key in keys if key not in ROWS]
    if unknown:
        raise Problem(f"no such row: {', '.join(unknown)}; there are {', '.join(ROWS)}")
    return keys


def choose_peers(given: argparse.Namespace, console: Console) -> list[Peer]:
    """The gateway, then the peers that are installed; a line for each that is not."""
    chosen: list[Peer] = []
    if not given.no_gateway:
        chosen.append(gateway(secrets.token_hex(20), given.root.resolve()))
    for name in filter(None, given.peers.split(",")):
        if name not in PEERS:
            raise Problem(f"no such peer: {name}; there are {', '.join(PEERS)}")
        try:
            find_binary(PEERS[name])
            chosen.append(PEERS[name])
        except Problem as missing:
            console.print(f"{missing} (its column and the ratios to it are left out)")
    if not chosen:
        raise Problem("nothing to measure")
    return chosen


def wanted_scenarios(keys: Sequence[str], peer: Peer) -> list[str]:
    """What has to be measured of this peer for these rows, each once, in the order of the table."""
    found: dict[str, None] = {}
    rows = [ROWS[key] for key in ROWS if key in keys]
    needed = [one for row in rows for one in (row, row.other) if one is not None]
    for row in needed:
        if row.scenario in OURS_ALONE and peer.name != report.GATEWAY:
            found[row.against] = None
            continue
        known = row.scenario not in SCENARIOS or peer.body(SCENARIOS[row.scenario].ask) is not None
        found[row.scenario if known else row.against] = None
    return [name for name in found if name]


def measure(bench: Bench, peers: Sequence[Peer], keys: Sequence[str], console: Console) -> Samples:
    """All samples that the rows need."""
    samples: Samples = {}
    wanted = {peer.name: wanted_scenarios(keys, peer) for peer in peers}
    with ExitStack() as stack, console.status("starting") as status:
        loaded = [peer for peer in peers if SCENARIOS.keys() & wanted[peer.name]]
        targets = [stack.enter_context(bench.running(peer)) for peer in loaded]
        for name in (name for name, scenario in SCENARIOS.items() if not scenario.beside):
            status.update(f"measuring: {name}")
            together = [name, *(other for other, scenario in SCENARIOS.items() if scenario.beside == name)]
            repeat(bench, [(to, one) for to in targets for one in together if one in wanted[to.peer.name]], samples)
    with console.status("measuring: what has a process of its own"):
        for peer in peers:
            if "start" in wanted[peer.name] or "memory" in wanted[peer.name]:
                bench.install(peer)
            if "start" in wanted[peer.name]:
                samples[peer.name, "start"] = [bench.start(peer) for _ in range(bench.options.reps)]
            if "memory" in wanted[peer.name]:
                samples[peer.name, "memory"] = [bench.memory(peer)]
            if "conversion" in wanted[peer.name]:
                samples[peer.name, "conversion"] = [conversion(bench, peer) for _ in range(bench.options.reps)]
            for name in MEASURED:
                if name in wanted[peer.name]:
                    samples[peer.name, name] = VARIANTS[name](bench, peer)
            if "overload" in wanted[peer.name]:
                samples[peer.name, "overload"] = overload(bench, peer)
            if "refusals" in wanted[peer.name]:
                samples[peer.name, "refusals"] = refusals(bench, peer)
            if "demo" in wanted[peer.name]:
                samples[peer.name, "demo"] = [demo(bench, peer)]
    return samples


def repeat(bench: Bench, loads: Sequence[tuple[Running, str]], samples: Samples) -> None:
    """Turn by turn, so that a change of the machine meets all of them alike."""
    options = bench.options
    for target, name in loads:
        bench.warm_up(target, SCENARIOS[name])
        samples[target.peer.name, name] = []
    for _ in range(options.reps * options.patience):
        unfinished = [load for load in loads if not enough(samples[load[0].peer.name, load[1]], options)]
        paced = [SCENARIOS[name] for _, name in unfinished if SCENARIOS[name].rate]
        direct = bench.direct(paced[0]) if paced else None
        for target, name in unfinished:
            samples[target.peer.name, name].append(bench.repetition(target, SCENARIOS[name], direct))


def enough(taken: Sequence[Sample], options: Options) -> bool:
    return sum(sample.foreign <= options.foreign for sample in taken) >= options.reps


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what we started is stopped
    console, given = Console(highlight=False), read_arguments()
    if not console.is_terminal:
        console.width = WIDTH
    options, keys, cores = choose_options(given), choose_rows(given), choose_cores()
    peers = choose_peers(given, console)
    if given.realtime:
        go_first()
    with prepared(options, cores) as bench:
        samples = measure(bench, peers, keys, console)
    names = [peer.name for peer in peers]
    columns = list(dict.fromkeys([*names, report.BASELINE]))
    lines = report.fill_in(keys, names, samples, options)
    calibration = median(bench.calibrations_ms) if bench.calibrations_ms else None
    console.print(describe())
    console.print(
        f"gateway or peer on core {cores.gateway}, provider and clients on core {cores.load}"
        f"{' (one core for all: figures are rough)' if cores.shared else ''}; "
        f"median (min-max) of {options.reps} x {options.seconds:g} s"
        + (", real-time priority" if given.realtime else "")
        + ("" if calibration is None else f"; calibration {calibration:.1f} ms")
    )
    report.print_table(console, lines, columns, options)
    report.print_notes(console, lines, samples, options)
    failed = report.failures(lines)
    for reason in failed if given.check else [reason for reason in failed if "bad answers" in reason]:
        console.print(reason, style="red", markup=False)
    if given.json:
        about = {"machine": describe(), "calibration_ms": calibration, "options": asdict(options)}
        report.write_json(given.json, about, lines, samples)
    return 1 if given.check and failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Problem as problem:
        sys.exit(f"bench: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
