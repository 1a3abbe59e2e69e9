from pathlib import Path

from tests.proofs import aborts
from tests.proofs.site import site


async def test_every_end_that_a_call_can_have(tmp_path: Path) -> None:
    async with site(tmp_path, aborts.MODELS) as place:
        await aborts.of_every_kind(place)
        await aborts.after_every_chunk(place)
