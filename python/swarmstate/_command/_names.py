r"""Names as a terminal shows them and as a user types them, and stores by URL or by path.

The escape is one to one: a backslash is doubled, and a character that cannot be printed is `\x1f`, `\u2028` or
`\U000e0001` by its code. What is shown can be typed.
"""

import os
import re
from urllib.parse import parse_qsl, quote, urlencode

_ESCAPE = re.compile(r"\\(\\|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def shown(name: str) -> str:
    """A name in one line of printable characters.

    Args:
        name: The name as the store has it.

    Returns:
        The name, escaped.
    """
    return "".join(_escaped(character) for character in name)


def _escaped(character: str) -> str:
    code = ord(character)
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def typed(text: str) -> str:
    """The name that a user typed.

    Args:
        text: The name, escaped as `shown` does it.

    Returns:
        The name as the store has it.

    Raises:
        ValueError: A backslash begins no escape, or one that stands for no character.
    """
    return _ESCAPE.sub(_unescaped, text)


def _unescaped(found: re.Match[str]) -> str:
    escape = found[1]
    if escape == "\\":
        return escape
    code = int(escape[1:], 16) if escape else -1
    if not 0 <= code <= 0x10FFFF:
        raise ValueError(rf"{found.string!r}: write a backslash as \\, and a character by its code as \x1f or \u001f")
    return chr(code)


def url(store: str, *, create: bool) -> str:
    """The URL of a store.

    Args:
        store: A URL, or the path of an SQLite file.
        create: Whether the file may be made if it does not exist.

    Returns:
        The URL to open.
    """
    if not _SCHEME.match(store):
        store = f"sqlite:///{quote(os.fsencode(store))}"
    if create or not store.startswith("sqlite:"):
        return store
    place, _, query = store.partition("?")
    options = [option for option in parse_qsl(query, keep_blank_values=True) if option[0] != "create"]
    return f"{place}?{urlencode([*options, ('create', 'false')])}"
