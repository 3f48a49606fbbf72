"""What all Python tests share: how long they fuzz, and that they test the installed wheel."""

import os
from pathlib import Path

import hypothesis
import pytest

import swarmstate

# A shared machine may be slow for a moment; time limits belong to pytest-timeout.
hypothesis.settings.register_profile("swarmstate", deadline=None, print_blob=True)
hypothesis.settings.load_profile("swarmstate")


@pytest.fixture(scope="session")
def fuzz_seconds() -> float:
    """How long a test may spend on random input, from SWARMSTATE_FUZZ_SECONDS."""
    return float(os.environ.get("SWARMSTATE_FUZZ_SECONDS", "2"))


def pytest_sessionstart() -> None:
    source = Path(__file__).parents[2] / "python"
    if source in Path(swarmstate.__file__).parents:
        pytest.exit("swarmstate is imported from python/, not from the wheel: run scripts/test python", returncode=3)
