"""The environment, ``.env``, and what is said of them when they are wrong."""

import os
import sys
from pathlib import Path

import pytest
from rich.pretty import pretty_repr

from gateway.settings import OTHERS, READERS, Settings, SettingsError, read

KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of one's own, and an environment that is put back afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return tmp_path


def mistakes(environ: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        read(environ)
    assert str(caught.value).splitlines() == list(caught.value.problems)
    return caught.value.problems


def test_nothing_said() -> None:
    assert read({}) == Settings(
        config="routing.yaml",
        host="127.0.0.1",
        port=8080,
        workers=1,
        state_dir="var/",
        redis_url=None,
        database_url=None,
        admin_key=None,
        bootstrap_key=None,
        litellm_python=sys.executable,
        drain_seconds=30,
        environ={},
        warnings=(),
    )


def test_everything_said() -> None:
    environ = {
        "GATEWAY_CONFIG": "/etc/gateway.yaml",
        "GATEWAY_HOST": "::",
        "GATEWAY_PORT": "9000",
        "GATEWAY_WORKERS": "4",
        "GATEWAY_STATE_DIR": "/var/lib/gateway",
        "GATEWAY_REDIS_URL": "rediss://:pw@redis:6380/1",
        "GATEWAY_DATABASE_URL": "postgresql+asyncpg://u:pw@db/gateway",
        "GATEWAY_ADMIN_KEY": KEY,
        "GATEWAY_BOOTSTRAP_KEY": KEY[::-1],
        "GATEWAY_LITELLM_PYTHON": "/opt/litellm/bin/python",
        "GATEWAY_DRAIN_SECONDS": "0",
        "OPENAI_API_KEY": "sk-abc",
    }
    assert read(environ) == Settings(
        config="/etc/gateway.yaml",
        host="::",
        port=9000,
        workers=4,
        state_dir="/var/lib/gateway",
        redis_url="rediss://:pw@redis:6380/1",
        database_url="postgresql+asyncpg://u:pw@db/gateway",
        admin_key=KEY,
        bootstrap_key=KEY[::-1],
        litellm_python="/opt/litellm/bin/python",
        drain_seconds=0,
        environ=environ,
    )
    assert environ.keys() - {"OPENAI_API_KEY"} == {f"GATEWAY_{name.upper()}" for name in READERS}


def test_the_environment_wins_over_the_file(here: Path) -> None:
    (here / ".env").write_text("GATEWAY_PORT=1111\nGATEWAY_WORKERS=3\nOPENAI_API_KEY='from file'\nexport A=b # c\n")
    os.environ |= {"GATEWAY_PORT": "2222", "COHERE_API_KEY": "from process"}
    settings = Settings.load()
    assert (settings.port, settings.workers) == (2222, 3)
    assert settings.environ["OPENAI_API_KEY"] == "from file"
    assert settings.environ["COHERE_API_KEY"] == "from process"
    assert settings.environ["A"] == "b"
    assert "OPENAI_API_KEY" not in os.environ


def test_what_is_asked_for_wins_over_all_and_is_passed_on(here: Path) -> None:
    (here / ".env").write_text("GATEWAY_PORT=1111\n")
    os.environ["GATEWAY_PORT"] = "2222"
    assert Settings.load({"port": 3333, "config": "other.yaml"}).port == 3333
    assert Settings.load().port == 3333  # as a worker will see it
    assert os.environ["GATEWAY_CONFIG"] == "other.yaml"


def test_no_file_is_fine_and_a_folder_is_no_file(here: Path) -> None:
    assert Settings.load().port == 8080
    (here / ".env").mkdir()
    assert Settings.load().port == 8080


def test_a_file_that_is_not_text(here: Path) -> None:
    (here / ".env").write_bytes(b"A=\xff\xfe\n")
    with pytest.raises(SettingsError, match=r"^\.env: is not UTF-8 text \(save the file as UTF-8\)$"):
        Settings.load()


def test_empty_is_unset() -> None:
    settings = read({"GATEWAY_PORT": "", "GATEWAY_ADMIN_KEY": ""})
    assert (settings.port, settings.admin_key) == (8080, None)


PORT = "GATEWAY_PORT: must be a whole number from 1 to 65535"
SHORT = "is too short: at least 32 characters are needed (try: openssl rand -hex 32)"
ASCII = "may hold only printable ASCII characters, and no spaces (try: openssl rand -hex 32)"
HOST = "GATEWAY_HOST: must be an address to listen on, like 0.0.0.0 (without http://, brackets or port)"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("GATEWAY_PORT", "80a", PORT),
        ("GATEWAY_PORT", "0", PORT),
        ("GATEWAY_PORT", "65536", PORT),
        ("GATEWAY_PORT", "-1", PORT),
        ("GATEWAY_PORT", "8_080", PORT),
        ("GATEWAY_PORT", "٣", PORT),
        ("GATEWAY_WORKERS", "0", "GATEWAY_WORKERS: must be a whole number from 1 to 1024"),
        ("GATEWAY_HOST", "http://0.0.0.0", HOST),
        ("GATEWAY_CONFIG", "a\nb", "GATEWAY_CONFIG: holds characters that cannot be printed"),
        ("GATEWAY_REDIS_URL", "redis:6379", "GATEWAY_REDIS_URL: must begin with redis:// or rediss:// or unix://"),
        ("GATEWAY_REDIS_URL", "http://[x", "GATEWAY_REDIS_URL: must begin with redis:// or rediss:// or unix://"),
        ("GATEWAY_DATABASE_URL", "mysql://x", "GATEWAY_DATABASE_URL: must begin with sqlite:// or postgresql://"),
        ("GATEWAY_ADMIN_KEY", KEY[:-1], f"GATEWAY_ADMIN_KEY: {SHORT}"),
        ("GATEWAY_BOOTSTRAP_KEY", "short", f"GATEWAY_BOOTSTRAP_KEY: {SHORT}"),
        ("GATEWAY_BOOTSTRAP_KEY", KEY + " x", f"GATEWAY_BOOTSTRAP_KEY: {ASCII}"),
        ("GATEWAY_BOOTSTRAP_KEY", KEY + "é", f"GATEWAY_BOOTSTRAP_KEY: {ASCII}"),
        ("GATEWAY_BOOTSTRAP_KEY", KEY + "\n", f"GATEWAY_BOOTSTRAP_KEY: {ASCII}"),
    ],
)
def test_mistakes(name: str, value: str, told: str) -> None:
    assert mistakes({name: value}) == (told,)


def test_all_mistakes_at_once_and_no_secret_in_them() -> None:
    found = mistakes({"GATEWAY_PORT": "x", "GATEWAY_WORKERS": "y", "GATEWAY_ADMIN_KEY": "hunter2"})
    assert found == (PORT, "GATEWAY_WORKERS: must be a whole number from 1 to 1024", f"GATEWAY_ADMIN_KEY: {SHORT}")


def test_an_unknown_setting_is_noted() -> None:
    environ = {"GATEWAY_PROT": "1", "GATEWAY_ZZZ_QQQ": "1", **dict.fromkeys(OTHERS, "x"), "OTHER": "1"}
    assert read(environ).warnings == (
        "GATEWAY_PROT is not a setting (did you mean GATEWAY_PORT?)",
        "GATEWAY_ZZZ_QQQ is not a setting",
    )


def test_secrets_are_not_shown() -> None:
    secrets = {
        "GATEWAY_REDIS_URL": "redis://:hidden-1@r",
        "GATEWAY_DATABASE_URL": "postgresql://u:hidden-2@d/x",
        "GATEWAY_ADMIN_KEY": "hidden-3" + KEY,
        "GATEWAY_BOOTSTRAP_KEY": "hidden-4" + KEY,
        "OPENAI_API_KEY": "hidden-5",
    }
    settings = read(secrets)
    assert "hidden" not in f"{settings!r} {settings} {pretty_repr(settings)}"
    assert repr(read({"GATEWAY_LITELLM_PYTHON": "python3"})) == (
        "Settings(config='routing.yaml', host='127.0.0.1', port=8080, workers=1, state_dir='var/', "
        "litellm_python='python3', drain_seconds=30, warnings=())"
    )
