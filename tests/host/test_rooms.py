# SPDX-License-Identifier: BSD-3-Clause
"""Imports of the host side point one way (docs/architecture.md)."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Iterator

import khorig

_PACKAGE = Path(khorig.__file__).parent

# What each room may import besides itself.
_BELOW: dict[str, frozenset[str]] = {"mem": frozenset(), "plugins": frozenset({"mem"})}
_BELOW["guest"] = frozenset({"mem"})
_BELOW["kho"] = frozenset({"mem", "plugins"})
_BELOW["rules"] = frozenset({"mem", "guest", "kho", "plugins"})
_BELOW["vm"] = frozenset({"mem", "guest", "plugins"})
_BELOW["run"] = _BELOW["rules"] | _BELOW["vm"] | {"rules", "vm"}
_BELOW["linux"] = _BELOW["run"] | {"run"}
_BELOW["out"] = _BELOW["linux"] | {"linux"}
_BELOW["api"] = _BELOW["out"] | {"out"}
_BELOW["cli"] = _BELOW["api"] | {"api"}


def _imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The line and the module of every import, those inside of functions included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None, "relative imports hide the room"
            if node.module == "khorig":
                yield from ((node.lineno, f"khorig.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module


def upward_imports(package: Path) -> list[str]:
    """Imports below `package` that lead from a room into one that does not lie below it."""
    wrong = []
    for path in sorted(package.glob("*/**/*.py")):
        room = path.relative_to(package).parts[0]
        for line, module in _imported(ast.parse(path.read_text(encoding="utf-8"))):
            words = module.split(".")
            if words[0] != "khorig" or len(words) == 1 or words[1].startswith("__"):
                continue
            if words[1] != room and words[1] not in _BELOW[room]:
                wrong.append(f"{path.relative_to(package)}:{line}: {room} imports {module}")
    return wrong


def test_every_room_is_on_a_floor() -> None:
    rooms = {path.parent.name for path in _PACKAGE.glob("*/__init__.py")}
    assert rooms == set(_BELOW)


def test_the_root_holds_no_modules() -> None:
    assert {path.name for path in _PACKAGE.glob("*.py")} == {
        "__init__.py",
        "__main__.py",
        "pytest_plugin.py",
    }


def test_imports_point_down() -> None:
    wrong = upward_imports(_PACKAGE)
    assert not wrong, "\n" + "\n".join(wrong)


def test_an_import_inside_of_a_function_counts(tmp_path: Path) -> None:
    module = tmp_path / "mem" / "formats" / "open.py"
    module.parent.mkdir(parents=True)
    module.write_text("import os\n\ndef f() -> None:\n    from khorig.vm import qmp\n")
    assert upward_imports(tmp_path) == ["mem/formats/open.py:4: mem imports khorig.vm"]
