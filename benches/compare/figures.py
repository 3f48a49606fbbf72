"""What a figure is: medians of rounds in which each candidate works in turn, their ratio, and the aim.

Each round hits all candidates of a row, so that a busy machine does. The ratio is the median of the rounds' ratios.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median

FLAT = 2
"""By so much may grow what takes the same time at any size, from the smallest size to the largest."""


@dataclass(frozen=True)
class Plan:
    """How long to measure."""

    rounds: int
    sizes: Sequence[int]
    copies: Sequence[int]
    """Rounds in which the rival copies or scans everything, for each size: a million take it seconds."""
    seconds_beside: float

    @classmethod
    def full(cls) -> "Plan":
        return cls(101, (1_000, 100_000, 1_000_000), (101, 5, 3), 0.1)

    @classmethod
    def quick(cls) -> "Plan":
        return cls(11, (1_000, 100_000), (11, 3), 0.05)


@dataclass(frozen=True)
class Row:
    """A line of the report. Times are nanoseconds per operation; `ratio` is ours / theirs."""

    what: str
    against: str
    ours: float
    theirs: float | None
    ratio: float | None
    aim: str
    is_met: bool | None
    rounds: int
    unit: str = "ns"

    def as_json(self) -> dict[str, object]:
        return {name: round(fact, 4) if isinstance(fact, float) else fact for name, fact in asdict(self).items()}


Work = Callable[[], object]


def compare(what: str, against: str, ours: Work, theirs: Work, count: int, rounds: int, aim: float | None) -> Row:
    """Measures two works of `count` operations each, in turn."""
    pairs = [(_timed(ours, count), _timed(theirs, count)) for _ in range(rounds)]
    return row_of_rounds(what, against, pairs, aim)


def row_of_rounds(what: str, against: str, pairs: list[tuple[float, float]], aim: float | None) -> Row:
    """The row of rounds that were measured elsewhere: of each, our figure and the rival's."""
    ratio = median(ours / theirs for ours, theirs in pairs)
    return Row(
        what,
        against,
        median(ours for ours, _ in pairs),
        median(theirs for _, theirs in pairs),
        ratio,
        "" if aim is None else f"ratio <= {aim:g}",
        None if aim is None else ratio <= aim,
        len(pairs),
    )


def bounded(what: str, against: str, ours: float, theirs: float, aim: float, rounds: int) -> Row:
    """A row whose aim is a time, which a busy machine misses."""
    return Row(what, against, ours, theirs, ours / theirs, f"< {aim / 1000:g} us", ours < aim, rounds)


def flat(what: str, sizes: Sequence[int], times: Sequence[float], rounds: int) -> Row:
    """The row of what takes the same time at any size: the largest beside the smallest."""
    ratio = times[-1] / times[0]
    aim, is_met = f"ratio <= {FLAT:g}", ratio <= FLAT
    return Row(
        f"{what}, {sizes[-1]:,} stored", f"{what}, {sizes[0]:,}", times[-1], times[0], ratio, aim, is_met, rounds
    )


def alone(work: Work, count: int, rounds: int) -> float:
    """The median time of one operation, in nanoseconds."""
    return in_turn([work], count, rounds)[0]


def in_turn(works: Sequence[Work], count: int, rounds: int) -> list[float]:
    """The median time of one operation of each work, in nanoseconds; every round does all of them."""
    return [median(column) for column in columns(works, count, rounds)]


def columns(works: Sequence[Work], count: int, rounds: int) -> list[tuple[float, ...]]:
    """The times of one operation of each work, in nanoseconds, round by round; every round does all of them."""
    turns = [_turn(works, count, turn % len(works)) for turn in range(rounds)]
    return list(zip(*turns, strict=True))


def _turn(works: Sequence[Work], count: int, first: int) -> list[float]:
    """One round, begun by another work each time, so that none always follows the same one."""
    times = {place: _timed(works[place], count) for place in (*range(first, len(works)), *range(first))}
    return [times[place] for place in range(len(works))]


def _timed(work: Work, count: int) -> float:
    prepare_round(work)
    started = time.perf_counter_ns()
    work()
    return (time.perf_counter_ns() - started) / count


def prepare_round(work: Work) -> None:
    """Makes what a round takes, where a work has something to make; it is not timed."""
    prepare = getattr(work, "prepare", None)
    if prepare is not None:
        prepare()


def show(row: Row, *, is_first: bool) -> None:
    if is_first:
        print(f"\n{'what':38} {'against':26} {'ours':>10} {'theirs':>14} {'ratio':>9}  aim")
    theirs = "" if row.theirs is None else f"{row.theirs:,.1f}"
    ratio = "" if row.ratio is None else f"{row.ratio:.3f}" if row.ratio >= 0.001 else f"{row.ratio:.1e}"
    verdict = {True: "met", False: "NOT MET", None: ""}[row.is_met]
    print(f"{row.what:38} {row.against:26} {row.ours:>10,.1f} {theirs:>14} {ratio:>9}  {row.aim} {verdict}", flush=True)
