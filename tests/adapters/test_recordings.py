"""Every adapter, every recording, every way to split the bytes. A new folder is picked up by itself."""

import pytest

from adapters import ADAPTERS
from adapters.local import ENGINES
from tests.adapters.recordings import ROOT, Case, Sent, cases, decoded, encoded, split, streamed

each = pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
each_whole = pytest.mark.parametrize("case", cases("response.json"), ids=lambda case: case.name)
each_stream = pytest.mark.parametrize("case", cases("stream.*"), ids=lambda case: case.name)


def test_every_adapter_is_recorded() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/host.json")}
    assert folders == (ADAPTERS.keys() - {"local"}) | ENGINES.keys()


@each
def test_encode(case: Case, accept: bool) -> None:
    got = encoded(case)
    assert (case.path / "request.json").exists() == isinstance(got, Sent) or accept
    case.check("request.json" if isinstance(got, Sent) else "reply.json", got, accept)


@each
def test_a_case_holds_one_answer_at_most(case: Case) -> None:
    """A call that was sent has an answer, a refused one has none; a stream answers a call for a stream."""
    answers = [path for name in ("response.json", "stream.*") for path in case.path.glob(name)]
    assert len(answers) <= (case.path / "request.json").exists()
    assert not list(case.path.glob("stream.*")) or case.call().stream


@each_whole
def test_decode(case: Case, accept: bool) -> None:
    case.check("reply.json", decoded(case), accept)


@each_stream
@pytest.mark.parametrize("size", (2**20, 64, 7, 1))
def test_stream(case: Case, size: int, accept: bool) -> None:
    got = streamed(case, split(case.stream(), size))
    case.check("deltas.json", got, accept and size == 2**20)


@each_stream
def test_stream_cut_at_every_byte(case: Case) -> None:
    """A body that ends before the provider has finished speaking is a failure, and what came is still good."""
    data = case.stream()
    whole = streamed(case, [data])
    expected = {"garbled"} | ({whole.error.code} if whole.error else set())
    finished = False
    for end in range(len(data)):
        got = streamed(case, [data[:end]])
        assert got.deltas == whole.deltas[: len(got.deltas)]
        if got.error is None:
            finished = True
            assert got.deltas == whole.deltas
        else:
            assert not finished
            assert got.error.code in expected
