"""The SQLite engine against `sqlite3`, `diskcache` and `sqlitedict`: one thread, eight threads, four processes.

Every write is a commit of its own, and both durabilities are compared with rivals of the same `synchronous`. A read
waits for no disk, so it is measured once. Ratios are ours / theirs of operations per second, of rounds in which all
candidates work in turn.
"""

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from files import RIVALS, ConnectionEach, DiskCache, OneConnection, Ours
from load import COUNTER, Crew, Round, crew_of

CREWS = (Crew("1 thread", 1), Crew("8 threads", 8), Crew("4 processes", 4, are_processes=True, stretch=3))
WORKS = ("set", "get", "increment", "set_many")
DURABILITIES = ("full", "normal")
FAIR = 0.5
"""What the slowest of our processes gets done beside the fastest, at the least, where all write."""
AIMS = {
    ("set", "8 threads", "full"): 4.0,
    ("set", "1 thread", "full"): 1.0,
    ("increment", "8 threads", "full"): 4.0,
    ("increment", "8 threads", "normal"): 1.8,
}
AIMED_AT = (OneConnection, ConnectionEach, DiskCache)


@dataclass(frozen=True)
class FilePlan:
    """How long to measure what works on files."""

    rounds: int
    seconds: float
    """How long each candidate works in a round."""
    sizes: tuple[int, ...]
    """Entries stored, for what should not grow with them."""
    turns: int
    """Rounds of single operations."""
    entries: dict[int, int]
    """How many entries are weighed, by the length of their values."""

    @classmethod
    def full(cls) -> "FilePlan":
        return cls(15, 0.15, (1_000, 100_000, 1_000_000), 31, {100: 200_000, 1_000: 50_000})

    @classmethod
    def quick(cls) -> "FilePlan":
        return cls(9, 0.05, (1_000, 100_000), 9, {100: 20_000, 1_000: 5_000})


@dataclass(frozen=True)
class LoadRow:
    """What one candidate got done; `ratio` is our rate / its rate."""

    work: str
    crew: str
    durability: str
    candidate: str
    per_second: float
    p50_us: float
    p99_us: float
    slowest_to_fastest: float
    ratio: float | None
    aim: str
    is_met: bool | None
    rounds: int

    def as_json(self) -> dict[str, object]:
        return {name: round(fact, 4) if isinstance(fact, float) else fact for name, fact in asdict(self).items()}


def rows(plan: FilePlan, folder: Path) -> Iterator[LoadRow]:
    for durability in DURABILITIES:
        for crew in CREWS:
            place = folder / durability / crew.name
            yield from _rows_of_crew(plan, crew, durability, place)
            shutil.rmtree(place)


def _candidates(crew: Crew) -> list[type]:
    """Who can work so. One thread has one connection, processes have one each."""
    if crew.are_processes:
        return [Ours, *(kind for kind in RIVALS if kind.shares_between_processes and kind is not OneConnection)]
    return [Ours, *(kind for kind in RIVALS if crew.workers > 1 or kind is not ConnectionEach)]


def _rows_of_crew(plan: FilePlan, crew: Crew, durability: str, place: Path) -> Iterator[LoadRow]:
    kinds = _candidates(crew)
    crews = {kind: crew_of(crew, kind, place / kind.name, durability) for kind in kinds}
    counted = dict.fromkeys(kinds, 0)
    try:
        for work in WORKS:
            if work == "get" and durability != DURABILITIES[0]:
                continue
            able = [kind for kind in kinds if work != "increment" or kind.has_increments]
            rounds = {kind: [] for kind in able}
            for turn in range(plan.rounds):
                # Another one begins each round, so that nobody always follows the same one.
                for kind in able[turn % len(able) :] + able[: turn % len(able)]:
                    worked = crews[kind].round(work, plan.seconds * crew.stretch)
                    rounds[kind].append(Round.of(worked))
                    if work == "increment":
                        counted[kind] += sum(1 + len(one.times) for one in worked)
            yield from _compared(work, crew, durability, rounds)
    finally:
        for crowd in crews.values():
            crowd.close()
    for kind in kinds:
        _require_count(kind, place / kind.name, durability, counted[kind])


def _compared(work: str, crew: Crew, durability: str, rounds: dict[type, list[Round]]) -> Iterator[LoadRow]:
    for kind, own in rounds.items():
        typical = Round.median(own)
        ratio, aim, is_met = None, "", None
        if kind is not Ours:
            ratio = median(ours.per_second / theirs.per_second for ours, theirs in zip(rounds[Ours], own, strict=True))
            least = AIMS.get((work, crew.name, durability)) if kind in AIMED_AT else None
            if least is not None:
                aim, is_met = f"ratio >= {least:g}", ratio >= least
        elif crew.are_processes and work != "get":
            aim, is_met = f"slowest/fastest >= {FAIR:g}", typical.slowest_to_fastest >= FAIR
        facts = (typical.per_second, typical.p50_us, typical.p99_us, typical.slowest_to_fastest)
        yield LoadRow(work, crew.name, durability, kind.name, *facts, ratio, aim, is_met, len(own))


def _require_count(kind: type, place: Path, durability: str, expected: int) -> None:
    """Whether every increment of the rounds is there, which those who lose some would be faster without."""
    if expected == 0:
        return
    candidate = kind(place, durability)
    found = candidate.connect().count(COUNTER)
    candidate.close()
    if found != expected:
        raise RuntimeError(f"{kind.name} counted {found} of {expected} increments")


def show(row: LoadRow, *, is_first: bool) -> None:
    if is_first:
        rates = f"{'per second':>10} {'p50 us':>9} {'p99 us':>9} {'slow/fast':>9} {'ratio':>6}"
        print(f"\n{'what':36} {'candidate':24} {rates}  aim")
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    verdict = {True: "met", False: "NOT MET", None: ""}[row.is_met]
    what = f"{row.work}, {row.crew}, {row.durability}"
    print(
        f"{what:36} {row.candidate:24} {row.per_second:>10,.0f} {row.p50_us:>9,.1f} {row.p99_us:>9,.1f} "
        f"{row.slowest_to_fastest:>9.2f} {ratio:>6}  {row.aim} {verdict}",
        flush=True,
    )
