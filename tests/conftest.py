"""Options, settings and fixtures of all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings

# The same examples in every run, and no time limit for one example: the host may be slow.
settings.register_profile("halab", deadline=None, derandomize=True, database=None, max_examples=60)
# Many more examples, and new ones in every run; a failure prints how to repeat it.
settings.register_profile("nightly", deadline=None, database=None, max_examples=2000, print_blob=True)
# Only the failure counts there, so no time is spent on a simpler example.
settings.register_profile(
    "mutants", settings.get_profile("halab"), phases=[Phase.explicit, Phase.generate], max_examples=15
)
settings.load_profile(os.environ.get("HALAB_TEST_PROFILE", "halab"))
# A shell lets its background processes ignore Ctrl-C, and their children inherit that: tests that send it would hang.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regenerate", action="store_true", help="rewrite the golden files, for review")


@pytest.fixture(scope="session")
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder for the allocations of tests, instead of the user's own."""
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    yield
    if before is None:
        del os.environ["XDG_STATE_HOME"]
    else:
        os.environ["XDG_STATE_HOME"] = before
