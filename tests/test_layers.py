"""The shape of the house: imports point one way, two doors lead out, and no module keeps state."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# A module imports only from rows above its own. A new file is placed here by hand: that is the moment to
# ask where it belongs.
ROWS = """
adapters.types
adapters.embeddings.types  adapters.errors  adapters.stops
adapters.chat  adapters.complaints  adapters.embeddings.form  adapters.fields  adapters.regex  adapters.sse
adapters.weakening.document  adapters.weakening.kinds  adapters.weakening.names  adapters.weakening.table
adapters.weakening.words
adapters.cohere_chat  adapters.local.gbnf  adapters.local.logprobs  adapters.local.refusals  adapters.stream
adapters.weakening.limits  adapters.weakening.merging  adapters.weakening.patterns
adapters.restoring.places  adapters.restoring.tokens  adapters.weakening.unions
adapters.restoring.members  adapters.restoring.texts  adapters.weakening.clearness  adapters.weakening.writing
adapters.restoring
adapters.undoing  adapters.wrapping
adapters.weakening
adapters.cohere_request  adapters.local.lark  adapters.local.ollama_words  adapters.local.tgi_words  adapters.openai
adapters.cohere  adapters.llama  adapters.local.llamacpp_words  adapters.local.ollama_chat  adapters.local.tgi_chat
adapters.local.llamacpp_chat  adapters.local.load  adapters.local.ollama  adapters.local.tgi  adapters.local.vllm
adapters.local.llamacpp  adapters.local.sglang
adapters.local.finite.documents    adapters.local.finite.sentences
adapters.local.finite.expressions  adapters.local.finite.members  adapters.local.finite.numbers
adapters.local.finite.writing
adapters.local.finite.objects      adapters.local.finite.texts    adapters.local.finite.values
adapters.local.finite.arrays       adapters.local.finite.separate
adapters.local.finite.building
adapters.local.finite
adapters.local.demo
adapters.local  adapters.longtail
adapters
adapters.embeddings.openai
adapters.embeddings.cohere  adapters.embeddings.ollama
adapters.embeddings.local
adapters.embeddings

gateway
gateway.census  gateway.errors  gateway.gate  gateway.logs  gateway.memory  gateway.prices  gateway.settings
gateway.tokens
gateway.turns  gateway.upstream.types  gateway.headers
gateway.limits.calendar  gateway.limits.types  gateway.limits.windows  gateway.prices.dollars  gateway.prices.hosts
gateway.ledger.cost  gateway.ledger.entry  gateway.limits.accounts  gateway.limits.words
gateway.limits.holds
gateway.limits.local
gateway.ledger  gateway.limits
gateway.estimates.calibration  gateway.estimates.patterns  gateway.estimates.size  gateway.estimates.texts
gateway.estimates.types
gateway.estimates.estimator  gateway.estimates.gguf
gateway.estimates.via_tokenizers
gateway.estimates.via_tiktoken
gateway.estimates.loading
gateway.estimates
gateway.bearer.settings  gateway.bearer.types
gateway.bearer.keyset
gateway.bearer.source  gateway.bearer.token
gateway.bearer.verifier
gateway.bearer
gateway.issuer
gateway.agreement.leaves   gateway.agreement.types
gateway.agreement.forms
gateway.agreement.sets
gateway.agreement.merging  gateway.agreement.places
gateway.agreement
gateway.typescript.errors    gateway.typescript.literals  gateway.typescript.refusals  gateway.typescript.syntax
gateway.typescript.kinds     gateway.typescript.lexer     gateway.typescript.shapes
gateway.typescript.budget    gateway.typescript.cursor    gateway.typescript.jsdoc
gateway.typescript.tails
gateway.typescript.parser
gateway.typescript.comments  gateway.typescript.declarations
gateway.typescript.names
gateway.typescript.scopes
gateway.typescript.alternatives
gateway.typescript.patterns  gateway.typescript.resolve   gateway.typescript.unions
gateway.typescript.schema
gateway.typescript.definitions
gateway.typescript
gateway.constraints.problems
gateway.constraints.describe  gateway.constraints.documents  gateway.constraints.earley  gateway.constraints.emptiness
gateway.constraints.patterns  gateway.constraints.references
gateway.constraints.expressions  gateway.constraints.prefixes  gateway.constraints.schemas
gateway.constraints.begun  gateway.constraints.grammars
gateway.constraints.checker
gateway.constraints
gateway.metrics.table
gateway.metrics.shared
gateway.metrics.recording  gateway.metrics.rendering
gateway.metrics.processes
gateway.metrics
gateway.keeping
gateway.resilience
gateway.resilience.backoff   gateway.resilience.latency  gateway.resilience.retrying  gateway.resilience.verdicts
gateway.resilience.window
gateway.resilience.breaker  gateway.resilience.budget
gateway.resilience.standing
gateway.types
gateway.agreeing  gateway.best  gateway.choices  gateway.paths  gateway.resilience.strategies
gateway.caching.control  gateway.caching.entry  gateway.caching.key  gateway.caching.store
gateway.caching.gathering  gateway.caching.local  gateway.caching.reading
gateway.caching
gateway.asking
gateway.repair
gateway.config.problems
gateway.config.document
gateway.config.address  gateway.config.convert  gateway.config.model
gateway.config.check    gateway.config.schema
gateway.config.difference  gateway.config.load
gateway.config
gateway.checking
gateway.wire.body  gateway.wire.values
gateway.wire.dialect  gateway.wire.guided  gateway.wire.logprobs  gateway.wire.output_type  gateway.wire.superset
gateway.wire.lamini  gateway.wire.openai  gateway.wire.thiggle
gateway.wire.constrained
gateway.wire.categorize  gateway.wire.cfg  gateway.wire.regex  gateway.wire.typed
gateway.wire.embeddings  gateway.wire.pieces
gateway.wire.chat  gateway.wire.completions
gateway.wire.door  gateway.wire.lamini_embedding
gateway.wire
gateway.openapi.operation
gateway.openapi.answers  gateway.openapi.requests  gateway.openapi.routes
gateway.openapi.admin
gateway.openapi
gateway.merge  gateway.routing
gateway.control.secrets  gateway.control.types
gateway.control.names    gateway.control.roles
gateway.control.amounts
gateway.adminapi.numbers  gateway.adminapi.times
gateway.adminapi.given    gateway.adminapi.told
gateway.adminapi.limits   gateway.adminapi.refusals  gateway.adminapi.reports
gateway.outbox
gateway.upstream.alarm  gateway.upstream.failures  gateway.upstream.origin  gateway.upstream.peer
gateway.upstream.tls
gateway.upstream.control  gateway.upstream.fetching
gateway.upstream.framing  gateway.upstream.inflate
gateway.upstream.push
gateway.upstream.connection
gateway.upstream.pool
gateway.upstream.http1  gateway.upstream.via_httpx
gateway.upstream.choice
gateway.upstream
gateway.resilience.course
gateway.attempts  gateway.reloading  gateway.watching
gateway.sharing.flight    gateway.sharing.look
gateway.sharing.messages  gateway.sharing.share
gateway.sharing.elsewhere  gateway.sharing.sharing
gateway.sharing
gateway.fanout
gateway.store.alive
gateway.store.jobs
gateway.store.spool.frames
gateway.store.spool.segments
gateway.store.spool.adopting  gateway.store.spool.spool
gateway.store.spool.reading
gateway.store.spool
gateway.store.redis.address  gateway.store.redis.breaker  gateway.store.redis.living
gateway.store.redis.kept
gateway.store.redis.words
gateway.store.redis.client
gateway.store.redis.lean
gateway.store.redis.opening
gateway.store.redis.script
gateway.store.redis.batches
gateway.store.redis.lanes
gateway.store.redis.bus      gateway.store.redis.cache  gateway.store.redis.census
gateway.store.redis.leases   gateway.store.redis.limiter
gateway.store.redis.store
gateway.store.redis
gateway.store.sql.migrations.env  gateway.store.sql.migrations.versions.v0001_record
gateway.store.sql.migrations  gateway.store.sql.migrations.versions
gateway.store.sql.connection  gateway.store.sql.within
gateway.store.sql.batch    gateway.store.sql.engine  gateway.store.sql.rows     gateway.store.sql.schema
gateway.store.sql.migrate  gateway.store.sql.reader  gateway.store.sql.periods  gateway.store.sql.rollups
gateway.store.sql.usage
gateway.store.sql.change   gateway.store.sql.drift   gateway.store.sql.mending
gateway.store.sql.ledger   gateway.store.sql.record
gateway.store.sql
gateway.store
gateway.ledger.writer
gateway.ledger.recovery
gateway.control.bootstrap  gateway.control.conservation  gateway.control.desk
gateway.control.admins     gateway.control.cache         gateway.control.keys    gateway.control.limits
gateway.control.reports
gateway.control.teams
gateway.control.local
gateway.control
gateway.directory
gateway.config.rules  gateway.counting  gateway.keys  gateway.metering
gateway.accounting    gateway.admission
gateway.bookkeeping  gateway.doors
gateway.exchange  gateway.jobs
gateway.asgi  gateway.doorkeeper  gateway.explain
gateway.streaming
gateway.completion  gateway.embedding
gateway.admin  gateway.api
gateway.adminapi.guard
gateway.adminapi.people
gateway.adminapi.records
gateway.adminapi.routes
gateway.adminapi  gateway.accepting
gateway.draining  gateway.lamini
gateway.recalled
gateway.protocol  gateway.workers
gateway.embedded  gateway.longtail
gateway.children  gateway.embedded.__main__  gateway.longtail.asked
gateway.beside  gateway.longtail.failures
gateway.app  gateway.banner  gateway.longtail.serving
gateway.longtail.__main__
gateway.serve
gateway.commands.failed
gateway.commands.local
gateway.commands.session
gateway.commands.options  gateway.commands.show
gateway.commands.admins   gateway.commands.audit  gateway.commands.cache  gateway.commands.keys
gateway.commands.limits
gateway.commands.teams    gateway.commands.usage
gateway.commands
gateway.cli
gateway.__main__
"""
RANK = {name: row for row, line in enumerate(ROWS.splitlines()) for name in line.split()}
ADAPTER_ROW = RANK["adapters.cohere"]
"""Where a new provider's module stands without being placed: adding one is a file, a line and a folder."""

DOORS = ("gateway.upstream", "gateway.store")
INWARD = {("gateway.banner", "http.client")}  # asks this very gateway, through its own port
NETWORK = (  # and what opens records
    "aiohttp",
    "aiosqlite",
    "asyncpg",
    "http.client",
    "httpcore",
    "httpx",
    "httpx2",
    "redis",
    "requests",
    "sqlalchemy",
    "sqlite3",
    "urllib.request",
    "urllib3",
)
CONNECTS = (
    "create_connection",
    "create_datagram_endpoint",
    "create_unix_connection",
    "open_connection",
    "open_unix_connection",
    "sock_connect",
)

# An adapter is a function of its arguments: no I/O, no clock, no chance.
IMPURE = (
    "asyncio",
    "logging",
    "os",
    "pathlib",
    "random",
    "secrets",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
)

# Processes of their own: each must start without the gateway, and the gateway without it.
APART = ("gateway.embedded", "gateway.longtail")

MUTABLE = frozenset({"Counter", "OrderedDict", "bytearray", "defaultdict", "deque", "dict", "list", "set"})
DISPLAYS = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*|__all__")


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {name_of(path): path for top in ("adapters", "gateway") for path in sorted((ROOT / top).rglob("*.py"))}
RANK |= {name: ADAPTER_ROW for name in PATHS if re.fullmatch(r"adapters\.\w+", name) and name not in RANK}
TREES = {name: ast.parse(path.read_bytes(), str(path)) for name, path in PATHS.items()}


def is_in(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def imports(tree: ast.AST, package: str = "") -> Iterator[str]:
    """Every module imported, also inside functions; `from x import y` is x.y where that is a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [base])])
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield whole if whole in PATHS or whole in NETWORK else base


def imports_of(name: str) -> Iterator[str]:
    own_package = name if PATHS[name].name == "__init__.py" else name.rpartition(".")[0]
    return imports(TREES[name], own_package)


EDGES = sorted({(name, other) for name in TREES for other in imports_of(name)})


def connects(tree: ast.AST) -> Iterator[str]:
    """Names that open a connection, whatever they are called on: asyncio, a loop, the socket module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in CONNECTS:
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names if alias.name in CONNECTS)


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when the module is imported: also under `if` and `try`, not inside functions and classes."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield child
            yield from at_import(child)


def is_mutable(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        function = value.func
        return (isinstance(function, ast.Name) and function.id in MUTABLE) or (
            isinstance(function, ast.Attribute) and function.attr in MUTABLE
        )
    return isinstance(value, DISPLAYS)


def state(tree: ast.Module) -> Iterator[str]:
    """Module-level names bound to something that can be changed, and every name declared `global`."""
    for statement in at_import(tree):
        if isinstance(statement, ast.Assign):
            targets, value = statement.targets, statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets, value = [statement.target], statement.value
        else:
            continue
        if is_mutable(value):
            yield from (ast.unparse(target) for target in targets if not CONSTANT.fullmatch(ast.unparse(target)))
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield from node.names


def test_every_module_has_a_row() -> None:
    assert sorted(PATHS.keys() - RANK.keys()) == []


def test_no_stale_names() -> None:
    stale = sorted(RANK.keys() - PATHS.keys())
    assert stale == []


def test_every_folder_is_a_package() -> None:
    """One without __init__.py would be left out of the wheel."""
    bare = {path.parent for path in PATHS.values()} - {
        path.parent for path in PATHS.values() if path.name == "__init__.py"
    }
    assert bare == set()


def test_imports_point_upwards_in_the_list() -> None:
    ranked = [(name, other) for name, other in EDGES if name in RANK and other in RANK]
    assert [f"{name} imports {other}" for name, other in ranked if RANK[other] >= RANK[name]] == []


def test_adapters_are_pure_and_know_nothing_of_the_gateway() -> None:
    adapters = [(name, other) for name, other in EDGES if is_in(name, "adapters")]
    assert [f"{name} imports {other}" for name, other in adapters if is_in(other, "gateway", *IMPURE)] == []


@pytest.mark.parametrize("program", APART)
def test_a_child_is_a_program_of_its_own(program: str) -> None:
    crossing = [(name, other) for name, other in EDGES if is_in(name, program) != is_in(other, program)]
    assert [f"{name} imports {other}" for name, other in crossing if is_in(other, "gateway")] == []


def test_only_the_doors_lead_out() -> None:
    inside = [name for name in TREES if not is_in(name, *DOORS)]
    wrong = [
        f"{name} imports {other}" for name, other in set(EDGES) - INWARD if name in inside and is_in(other, *NETWORK)
    ]
    wrong += [f"{name} uses {attribute}" for name in inside for attribute in connects(TREES[name])]
    assert wrong == []


def test_no_module_keeps_state() -> None:
    assert [f"{name}: {variable}" for name, tree in TREES.items() for variable in state(tree)] == []


# A rule that finds nothing looks just like a house in order. So each finder is shown what it must find.


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import a.b, c", ["a.b", "c"]),
        ("from adapters import types", ["adapters.types"]),
        ("from adapters.types import Call", ["adapters.types"]),
        ("def f():\n    import adapters.sse", ["adapters.sse"]),
        ("from . import no_module", ["gateway.upstream"]),
        ("from .pool import Pool", ["gateway.upstream.pool"]),
        ("from ..errors import X", ["gateway.errors"]),
        ("from urllib import request", ["urllib.request"]),
        ("from urllib.parse import quote", ["urllib.parse"]),
    ],
)
def test_finds_imports(source: str, found: list[str]) -> None:
    assert list(imports(ast.parse(source), "gateway.upstream")) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("await asyncio.open_connection(h, p)", ["open_connection"]),
        ("loop.create_connection(f, h, p)", ["create_connection"]),
        ("from socket import create_connection", ["create_connection"]),
        ("asyncio.start_server(f, h, p)", []),
    ],
)
def test_finds_connections(source: str, found: list[str]) -> None:
    assert list(connects(ast.parse(source))) == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("cache = {}", ["cache"]),
        ("seen: set[str] = set()", ["seen"]),
        ("a = B = []", ["a"]),
        ("try:\n    x = []\nexcept E:\n    y = {}\nfinally:\n    z = {1}", ["x", "y", "z"]),
        ("if a:\n    pass\nelse:\n    q = collections.deque()", ["q"]),
        ("def f():\n    global n\n    n = 1", ["n"]),
        ("TABLE = {1: 2}\n_ROWS: list[int] = [1]\n__all__ = ['f']\ndecoder = Decoder(int)\nx: list[int]", []),
        ("def f():\n    found = []", []),
        ("class C:\n    known = {}", []),
    ],
)
def test_finds_state(source: str, found: list[str]) -> None:
    assert list(state(ast.parse(source))) == found
