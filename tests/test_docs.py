"""What the documents say is so: their files exist, their commands can be run, versions and schema agree."""

import itertools
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import gateway

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
SCHEMA = ROOT / "deploy" / "routing.schema.json"

# What a reader of the README has at hand: a command that begins with another word cannot be typed.
PROGRAMS = re.compile("cat|cd|cp|curl|docker|echo|export|gateway|git|helm|jq|kubectl|make|pip|python3?|sudo")

A_PATH_OF_OURS = re.compile(r"(adapters|bench|deploy|gateway|tests|tools)/[\w./-]*|\w+\.(md|yaml|toml)")


def text_of(path: Path) -> str:
    return path.read_text()


def parsed(command: str) -> list[str] | None:
    """Its words and operators, or None while a quote or a line is still open."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        return None if command.endswith("\\") else list(lexer)
    except ValueError:
        return None


def typed_lines(markdown: str) -> Iterator[list[str]]:
    """What follows `$ ` in ```console blocks, and all of ```bash ones; joined where it goes on."""
    for language, block in re.findall(r"^```(console|bash|sh)\b[^\n]*\n(.*?)^```", markdown, re.M | re.S):
        command = ""
        for line in block.splitlines():
            if command:
                command = f"{command.removesuffix(chr(92))}\n{line}"
            elif language != "console" or line.startswith("$ "):
                command = line.removeprefix("$ ")
            words = parsed(command)
            if words is not None:
                command = ""
                yield words
        assert not command, f"README.md: this never ends: {command}"


def commands(markdown: str) -> Iterator[list[str]]:
    """Each program called, with its arguments: pipes and `&&` taken apart, variables before it left out."""
    for line in typed_lines(markdown):
        for operator, words in itertools.groupby(line, lambda word: word in ("|", "||", "&&", "&", ";")):
            command = list(itertools.dropwhile(re.compile(r"[A-Z_]+=").match, words))
            if command and not operator:
                yield command


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))


def files_of_repository() -> list[Path]:
    """What is committed, and what would be: a file is looked at before it is added, too."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        output = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in output.split("\0") if name and (ROOT / name).is_file()]


def test_readme_names_files_that_exist() -> None:
    """Links, and `code` that is a path of ours."""
    text = text_of(README)
    named = set(re.findall(r"\]\((?!\w+:|#)([^)#]+)", text))
    named |= {code for code in re.findall(r"`([^`\n]+)`", text) if A_PATH_OF_OURS.fullmatch(code)}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_readme_commands_can_be_typed() -> None:
    targets = make_targets()

    def can_be_typed(program: str, *arguments: str) -> bool:
        if any(A_PATH_OF_OURS.fullmatch(word) and not (ROOT / word).exists() for word in arguments):
            return False
        if program == "make":
            return targets.issuperset(word for word in arguments if word[0] != "-" and "=" not in word)
        return bool(PROGRAMS.fullmatch(program)) or program.startswith(".venv/bin/") or (ROOT / program).is_file()

    assert [command for command in commands(text_of(README)) if not can_be_typed(*command)] == []


def test_schema_of_the_configuration_is_current() -> None:
    """An editor completes routing.yaml by this file, so it must be the one the gateway checks by."""
    expected = text_of(SCHEMA)
    from gateway.config import json_schema  # here, so that the other tests run where it cannot be imported

    assert json_schema().decode() == expected


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == gateway.__version__

    newest = re.findall(r"^## \[([^]]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)[0]
    assert newest in ("Unreleased", gateway.__version__)


def test_both_locks_pin_the_same_versions() -> None:
    """`make run` and `make test` share a venv, and what is tested is what runs."""

    def pins(lock: str) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / lock).read_text(), re.M))

    tested = pins("requirements-dev.lock")
    assert {
        name: (version, tested.get(name))
        for name, version in pins("requirements.lock").items()
        if tested.get(name) != version
    } == {}


def test_litellms_own_lock_agrees_where_it_can() -> None:
    """litellm runs apart, but what both processes have is the same; and neither of its two malicious uploads is."""

    def pins(lock: str) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / lock).read_text(), re.M))

    ours, apart = pins("requirements.lock"), pins("requirements-litellm.lock")
    assert {name: (ours[name], version) for name, version in apart.items() if ours.get(name, version) != version} == {}
    assert "litellm" not in ours and apart["litellm"] not in ("1.82.7", "1.82.8")


# Where packages come from and where this was written is the machine's business, never the repository's.
# The tildes keep this file from holding what it looks for.
BANNED = [
    word.replace("~", "").encode()
    for word in (
        "py~pi.org",
        "python~hosted.org",
        "registry.~npmjs",
        "registry.~yarnpkg",
        "deb.~debian.org",
        "security.~debian.org",
        "proxy.~golang.org",
        "/wo~rk/",
        "/op~t/pypi",
        "/op~t/wheels",
    )
]


def test_no_file_says_where_packages_came_from() -> None:
    assert [
        (str(path.relative_to(ROOT)), word.decode())
        for path in files_of_repository()
        for word in BANNED
        if word in path.read_bytes()
    ] == []


@pytest.mark.parametrize(
    ("block", "found"),
    [
        ("```console\n$ make run\nlistening\n```\n", [["make", "run"]]),
        ("```bash\n# first\nA=1 make x  # so\n\ncd b && ls\n```\n", [["make", "x"], ["cd", "b"], ["ls"]]),
        ("```bash\ncurl u \\\n  -d '{\n}'\n```\n", [["curl", "u", "-d", "{\n}"]]),
        ("```python\nmake = 1\n```\n", []),
    ],
)
def test_finds_commands(block: str, found: list[list[str]]) -> None:
    assert list(commands(block)) == found
