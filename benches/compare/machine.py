"""The machine and the versions that figures belong to, and the folder that they are stored in."""

import os
import platform
import subprocess
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
        "load average at the start": load(),
    }


def disk(folder: Path) -> dict[str, str]:
    """The file system that `folder` is on.

    Raises:
        SystemExit: It lives in memory, where a commit waits for nothing.
    """
    listed = subprocess.run(["df", "--output=fstype", folder], check=True, capture_output=True, text=True)
    kind = listed.stdout.split()[-1]
    if kind in ("tmpfs", "ramfs"):
        raise SystemExit(f"{folder} is on {kind}, where a commit waits for no disk; name one on a disk by --folder")
    return {"file system": kind}


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
