"""The stub says what the binding says: the same names and the same docstrings, neither more nor less.

The docstrings are written once, as `///` on the binding. `python tests/python/test_stub.py --write` brings them into
the stub; signatures and types are written there by hand, and mypy.stubtest holds them against the binding.
"""

import ast
import inspect
import sys
from pathlib import Path

import swarmstate
from swarmstate import _core

STUB = Path(__file__).parents[2] / "python" / "swarmstate" / "_core.pyi"
Definition = ast.ClassDef | ast.FunctionDef


def bound() -> dict[str, object]:
    """Every public object of the binding by its dotted name: classes, functions, methods, properties."""
    found: dict[str, object] = {}
    for name in _core.__all__:
        found[name] = thing = getattr(_core, name)
        if isinstance(thing, type):
            members = {member: value for member, value in vars(thing).items() if not member.startswith("_")}
            found |= {f"{name}.{member}": value for member, value in members.items()}
    return found


def stubbed(source: str) -> dict[str, Definition]:
    """Every public definition of the stub by its dotted name."""
    found: dict[str, Definition] = {}
    for node in ast.parse(source).body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            found[node.name] = node
            members = [member for member in node.body if isinstance(member, ast.FunctionDef)]
            found |= {f"{node.name}.{member.name}": member for member in members if not member.name.startswith("_")}
    return found


def test_the_stub_and_the_binding_have_the_same_names():
    assert sorted(stubbed(STUB.read_text())) == sorted(bound())


def test_every_name_of_the_binding_is_documented():
    assert [name for name, thing in bound().items() if not inspect.getdoc(thing)] == []


def test_the_stub_and_the_binding_have_the_same_docstrings():
    definitions = stubbed(STUB.read_text())

    differing = [
        name for name, thing in bound().items() if ast.get_docstring(definitions[name]) != inspect.getdoc(thing)
    ]

    assert differing == [], "run: python tests/python/test_stub.py --write"


def test_the_stub_is_what_write_writes():
    source = STUB.read_text()

    assert with_docstrings(source) == source, "run: python tests/python/test_stub.py --write"


def test_the_package_exports_what_the_binding_offers_to_users():
    inner = {"Threads", "Checkpoints", "Fetched", "Items", "Cache", "context_key", "serve_stdio"}
    inner |= {"Completions", "finish_handed_over"}
    offered = set(_core.__all__) - inner

    assert offered <= set(swarmstate.__all__)
    assert sorted(swarmstate.__all__) == swarmstate.__all__
    assert {name for name in swarmstate.__all__ if not hasattr(swarmstate, name)} == set()


def test_a_class_is_named_by_the_module_that_users_import_it_from():
    for name in set(_core.__all__) & set(swarmstate.__all__):
        thing = getattr(_core, name)
        if isinstance(thing, type):
            assert f"{thing.__module__}.{thing.__qualname__}" == f"swarmstate.{name}"


def with_docstrings(source: str) -> str:
    """The stub with the docstrings of the binding, in the place of what stands there."""
    lines = source.split("\n")
    things = bound()
    definitions = sorted(stubbed(source).items(), key=lambda named: named[1].lineno, reverse=True)
    for name, node in definitions:
        if name in things:
            place_docstring(lines, node, inspect.getdoc(things[name]) or "")
    return "\n".join(lines)


def place_docstring(lines: list[str], node: Definition, text: str) -> None:
    """Puts a docstring below the head of a definition. Definitions behind it must be done already."""
    first, docstring = node.body[0], rendered(text, " " * (node.col_offset + 4))
    if ast.get_docstring(node, clean=False) is not None:
        lines[first.lineno - 1 : first.end_lineno] = docstring
    elif isinstance(node, ast.FunctionDef):
        at = first.lineno - 1
        lines[at : at + 1] = [lines[at][: first.col_offset].rstrip(), *docstring]
    else:
        decorators = first.decorator_list if isinstance(first, Definition) else []
        at = min([first.lineno, *(decorator.lineno for decorator in decorators)]) - 1
        lines[at:at] = [*docstring, ""]


def rendered(text: str, indent: str) -> list[str]:
    """The lines of a docstring."""
    head, *rest = text.split("\n")
    opening = 'r"""' if "\\" in text else '"""'
    if not rest:
        return [f'{indent}{opening}{head}"""']
    return [f"{indent}{opening}{head}", *(f"{indent}{line}".rstrip() for line in rest), f'{indent}"""']


if __name__ == "__main__" and "--write" in sys.argv:
    STUB.write_text(with_docstrings(STUB.read_text()))
