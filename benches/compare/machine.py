"""The machine and the versions that figures belong to, and the folder that they are stored in."""

import os
import platform
from importlib.metadata import version
from pathlib import Path


def facts(date: str) -> dict[str, str]:
    return {
        "date": date,
        "machine": f"{_processor()}, {os.cpu_count()} threads",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "swarmstate": version("swarmstate"),
        "ormsgpack": version("ormsgpack"),
        "langgraph": version("langgraph"),
        "langgraph-checkpoint": version("langgraph-checkpoint"),
        "langgraph-checkpoint-sqlite": version("langgraph-checkpoint-sqlite"),
        "load average at the start": load(),
    }


def load() -> str:
    return "{:.1f} {:.1f} {:.1f}".format(*os.getloadavg())


def results(name: str) -> Path:
    return Path(__file__).parents[1] / "results" / name


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
