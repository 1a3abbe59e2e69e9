"""What recordings of local servers cannot say."""

import pytest

from adapters import ADAPTERS
from adapters.local import ENGINES, local
from adapters.types import Host


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_is_found_by_its_name(engine: str) -> None:
    adapter = local(Host(base_url="http://x", engine=engine))
    assert isinstance(adapter, ENGINES[engine])  # type: ignore[arg-type]  # every entry is a class
    assert adapter.modes == ("completion",)


@pytest.mark.parametrize("engine", [None, "", "llamacpp", "VLLM"])
def test_any_other_engine_is_a_mistake(engine: str | None) -> None:
    with pytest.raises(ValueError, match=r"engine is one of llama\.cpp, ollama, sglang, tgi, vllm; not"):
        local(Host(base_url="http://x", engine=engine))


def test_who_can_be_asked_for_several_choices() -> None:
    hosts = {name: Host(base_url="http://x", engine=name) for name in [*ADAPTERS, *ENGINES] if name != "local"}
    limits = {name: ADAPTERS.get(name, local)(host).max_n for name, host in hosts.items()}
    assert (
        limits.items()
        >= {
            "gpt": None,
            "cohere": 1,
            "llama": 1,
            "llama.cpp": 1,
            "vllm": 1,
            "sglang": None,
            "tgi": 1,
            "ollama": 1,
        }.items()
    )
