"""What goes wrong beside the network: processes die, Redis is restarted, the routing file changes."""

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter

from msgspec import Struct

from tests.faults.gateway import Gateway
from tests.faults.proc import catches
from tests.servers.redis import RedisServer

FILLED = 10.0
"""Seconds in which Redis is filled again."""


class Disturber(Struct):
    """``steady`` is never killed; of ``mortal``, workers are. ``done`` counts what was done; ``gone`` are
    processes that a reload has ended, which it must not."""

    steady: Gateway
    mortal: Gateway | None
    redis: RedisServer | None
    rng: random.Random
    done: Counter[str] = Counter()
    gone: list[str] = []

    async def kill_a_worker(self) -> None:
        if self.mortal is None:
            return
        with contextlib.suppress(ProcessLookupError, IndexError):
            os.kill(self.rng.choice(self.mortal.serving), signal.SIGKILL)
            self.done["worker killed"] += 1

    async def restart_redis(self) -> None:
        """It comes back empty, and is filled from the ledger by whoever can reach SQL just then."""
        if self.redis is None:
            return
        await asyncio.to_thread(self.redis.stop)
        await asyncio.sleep(0.2 + self.rng.random())
        await asyncio.to_thread(self.redis.start)
        await asyncio.sleep(FILLED)
        self.done["Redis restarted"] += 1

    async def reload(self) -> None:
        """A routing file that has changed, and now and then a broken one, where the gateway reads it again."""
        assert self.steady.process is not None
        if not catches(self.steady.process.pid, signal.SIGHUP):
            return
        good = self.steady.config.read_text()
        broken = self.rng.random() < 0.25
        serving = {pid: one for one in (self.steady, self.mortal) if one is not None for pid in one.serving}
        for one in (self.steady, self.mortal):
            if one is not None and one.process is not None:
                one.config.write_text("models: [" if broken else f"{good}# {self.rng.random()}\n")
                one.process.send_signal(signal.SIGHUP)
        await asyncio.sleep(1)
        if broken:
            for one in (self.steady, self.mortal):
                if one is not None:
                    one.config.write_text(good)
        self.gone += [str(pid) for pid, one in serving.items() if pid not in one.serving]
        self.done["broken reload" if broken else "reload"] += 1
