"""Memory per entry against `im::HashMap`, from what the crate's bench wrote: Python's own objects would hide it."""

import json
from collections.abc import Iterator

import machine
from figures import Plan, Row

AIM = 0.45


def rows(plan: Plan) -> Iterator[Row]:
    path = machine.results("store.json")
    if not path.exists():
        return
    for found in json.loads(path.read_text())["rows"]:
        if found["row"] == "resident bytes per entry":
            ours, theirs = found["store"], found["im::HashMap"]
            what = f"bytes per entry of {found['keys']:,}"
            is_met = ours / theirs <= AIM
            yield Row(what, "im::HashMap", ours, theirs, ours / theirs, f"ratio <= {AIM}", is_met, 1, "bytes")
