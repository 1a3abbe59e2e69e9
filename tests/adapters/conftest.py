"""``pytest tests/adapters --accept`` rewrites what the recordings expect; the diff is what is then reviewed."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--accept", action="store_true", help="rewrite the expectations in tests/recordings")


@pytest.fixture
def accept(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--accept", default=False))
