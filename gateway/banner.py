"""What the operator reads when the gateway is ready: where it is, the key, and a call that works when pasted."""

import http.client
import os
import sys
import time

from gateway.config import Config, warnings
from gateway.control.bootstrap import Made
from gateway.settings import Settings

PATIENCE = 60.0
EXAMPLE = '{"model": ["demo", "demo-creative"], "prompt": "What is 2 + 3?"}'


def when_ready(config: Config, settings: Settings, made: Made) -> None:
    """Waits until the gateway says that it is ready, then speaks."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if is_ready(settings):
            print("\n".join(lines(config, settings, made)), flush=True)
            return
        time.sleep(0.02)
    print(f"the gateway is not ready after {PATIENCE:g} s", file=sys.stderr, flush=True)


def is_ready(settings: Settings) -> bool:
    connection = http.client.HTTPConnection(reachable_host(settings.host), settings.port, timeout=1)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def lines(config: Config, settings: Settings, made: Made) -> list[str]:
    """The banner. Keys are shown only at the start that made them: afterwards their hashes are all that is left."""
    address = f"http://{bracketed(reachable_host(settings.host))}:{settings.port}"
    found = ["", f"  gateway ready at {address}", ""]
    if made.admin is not None:
        found += [f"  admin key, for /admin/ and GATEWAY_ADMIN_KEY, shown this once: {made.admin.key}", ""]
    if made.key is not None:
        found += [f"  key of team {made.key.team}, shown this once: {made.key.key}", ""]
    elif settings.bootstrap_key is None:
        found += [
            "  the key was shown at the first start; put it into GATEWAY_KEY for this line (lost: see README)",
            "",
        ]
    else:
        found += ["  the key is the one in GATEWAY_BOOTSTRAP_KEY", ""]
    found.append(curl(address, example(config), shown_key(settings, made)))
    unset = warnings(config, settings.environ)
    if unset:
        found += [
            "",
            f"  {len(unset)} of {len(config.models)} models wait for a provider's key: {program()} check",
        ]
    return [*found, ""]


def shown_key(settings: Settings, made: Made) -> str:
    if made.key is not None:
        return made.key.key
    if settings.bootstrap_key is None:
        return "$GATEWAY_KEY"
    if "GATEWAY_BOOTSTRAP_KEY" in os.environ:
        return "$GATEWAY_BOOTSTRAP_KEY"
    return "$(sed -n 's/^GATEWAY_BOOTSTRAP_KEY=//p' .env)"


def program() -> str:
    """How this program was called, so that what we advise can be typed."""
    return "python -m gateway" if sys.argv[0].endswith("__main__.py") else sys.argv[0]


def example(config: Config) -> str:
    if "demo" in config.models and "demo-creative" in config.models:
        return EXAMPLE
    model = config.defaults.model or next(iter(config.models))
    return f'{{"model": "{model}", "prompt": "What is 2 + 3?"}}'


def curl(address: str, body: str, key: str) -> str:
    """One line, however long: so it can be taken up whole."""
    headers = f'-H "Authorization: Bearer {key}" -H "Content-Type: application/json"'
    return f"curl {address}/v1/completion {headers} -d '{body}'"


def reachable_host(host: str) -> str:
    """The address by which a server that listens everywhere is reached from here."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
