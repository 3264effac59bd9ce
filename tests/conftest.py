"""Options and settings of all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import Phase, settings

# Equal examples in every run, and no limit on one of them: machines of tests may be slow.
settings.register_profile("halab", deadline=None, derandomize=True, database=None, max_examples=60)
# Others in every run, and many more; a failure prints how to see it again.
settings.register_profile("nightly", deadline=None, database=None, max_examples=2000, print_blob=True)
# Whether a test fails is all that counts there, and not by which example it is shown best.
settings.register_profile(
    "mutants", settings.get_profile("halab"), phases=[Phase.explicit, Phase.generate], max_examples=15
)
settings.load_profile(os.environ.get("HALAB_TEST_PROFILE", "halab"))
# What a shell starts in the background ignores Ctrl-C, and so do its children: the tests that send it would wait.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regenerate", action="store_true", help="rewrite the golden files, for review")


@pytest.fixture(scope="session")
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Allocations of the tests are not the user's."""
    before = os.environ.get("XDG_STATE_HOME")
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    yield
    if before is None:
        del os.environ["XDG_STATE_HOME"]
    else:
        os.environ["XDG_STATE_HOME"] = before
