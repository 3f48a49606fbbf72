"""Values as text: JSON, and `msgpack:` with base64 for what JSON cannot hold.

No JSON begins with `msgpack:`, so both can be told apart, and both can be typed.
"""

import base64
import json
from typing import Any, NoReturn

import swarmstate

_MSGPACK = "msgpack:"


def shown(record: str) -> str:
    """The value of an entry as one line.

    Args:
        record: The entry, by its `to_json`.

    Returns:
        Its JSON, or `msgpack:` and the base64 of its bytes.
    """
    members = json.loads(record)
    if "msgpack" in members:
        return _MSGPACK + str(members["msgpack"])
    return json.dumps(members["value"], ensure_ascii=False)


def typed(text: str) -> Any:
    """The value that a user typed.

    Args:
        text: As `shown` gives it, or any other JSON.

    Returns:
        The value to store.

    Raises:
        ValueError: It is neither JSON nor msgpack.
    """
    if text.startswith(_MSGPACK):
        return swarmstate.loads(base64.b64decode(text.removeprefix(_MSGPACK), validate=True))
    try:
        return json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"the value is not JSON ({error}); --string takes it as a text") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"the value holds {constant}, which is not JSON")
