"""The examples run to their end on a file and on a Redis server too, and check what they say by themselves."""

import subprocess
import sys
from pathlib import Path

import pytest
import servers

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("engine", ["sqlite", "redis"])
@pytest.mark.parametrize("name", ["chat_memory", "rollback", "served_agent", "two_workers"])
def test_an_example_runs_on_a_store_that_outlives_it(name: str, engine: str, tmp_path: Path) -> None:
    redis = f"{servers.single()}?prefix={servers.fresh_prefix()}"
    url = redis if engine == "redis" else f"sqlite:///{tmp_path}/state.db?durability=normal"

    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", "--store", url], capture_output=True, text=True, timeout=120
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout
