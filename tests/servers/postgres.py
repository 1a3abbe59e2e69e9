"""A real PostgreSQL to be thrown away: on a port of this machine and on a Unix socket."""

import asyncio
import atexit
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from functools import cache
from pathlib import Path

import asyncpg

PASSWORD = "throw-away"


def binaries() -> Path | None:
    """The newest PostgreSQL of this machine; None where there is none."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    found = shutil.which("postgres")
    return versions[-1].parent if versions else Path(found).parent if found else None


class Postgres:
    """Made for tests: what it stores is not safe from a loss of power."""

    def __init__(self, bin: Path) -> None:
        self._bin = bin
        self.folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
        self._user = _unprivileged()
        if self._user is not None:
            os.chown(self.folder, pwd.getpwnam(self._user).pw_uid, pwd.getpwnam(self._user).pw_gid)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._data = self.folder / "data"
        self.free: list[str] = []
        """Migrated databases that are empty again: making one takes long."""
        self._init()
        self.process = self.start()

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://gateway:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database: str = "postgres") -> str:
        return f"postgresql://gateway:{PASSWORD}@/{database}?host={self.folder}&port={self.port}"

    async def create(self, template: str = "template1") -> str:
        """A new database's name."""
        name = f"t{uuid.uuid4().hex}"
        await self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return name

    async def drop(self, name: str) -> None:
        await self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def execute(self, statement: str, database: str = "postgres") -> None:
        connection = await asyncpg.connect(self.url(database))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def start(self) -> "subprocess.Popen[bytes]":
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "max_connections": "200",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, *options],
                stdout=log,
                stderr=log,
                cwd="/",
                preexec_fn=_die_with_parent,
                **self._as_user(),  # type: ignore[call-overload]
            )
        deadline = time.monotonic() + 30
        while subprocess.run([self._bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL does not start: {(self.folder / 'log').read_text()}")
            time.sleep(0.05)
        return self.process

    def stop(self) -> None:
        """At once; the data stay."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)

    def remove(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _init(self) -> None:
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)  # the folder is its owner's alone
        flags = ["--no-sync", "-U", "gateway", "--auth=scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C"]
        made = subprocess.run(
            [self._bin / "initdb", "-D", self._data, *flags],
            capture_output=True,
            cwd="/",
            **self._as_user(),  # type: ignore[call-overload]
        )
        if made.returncode:
            raise RuntimeError(f"initdb fails: {made.stderr.decode()}")

    def _as_user(self) -> dict[str, object]:
        if self._user is None:
            return {}
        return {"user": self._user, "group": pwd.getpwnam(self._user).pw_gid, "extra_groups": []}


def _unprivileged() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG: a killed test run leaves no server behind


@cache
def postgres() -> Postgres:
    """The one of this test run, where there are binaries. Asked for by the main thread first: it ends with that."""
    bin = binaries()
    assert bin is not None, "PostgreSQL is not installed"
    server = Postgres(bin)
    atexit.register(server.remove)
    return server


@cache
def template() -> str:
    """A database that has been migrated, to be copied."""
    from gateway.store.sql.engine import database_url
    from gateway.store.sql.migrate import migrated

    async def make() -> str:
        name = await postgres().create()
        await migrated(database_url(postgres().url(name), Path("/")))
        return name

    return asyncio.run(make())
