# SPDX-License-Identifier: BSD-3-Clause
"""Writes compile_commands.json, for clang-tidy and editors, from what Bazel would run.

Usage: compile_commands.py FOLDER

Every C++ file of the tree has one entry, for the host when it is built for the host. Run at the
root of the tree. Ends with status 1 when Bazel cannot say.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# What is compiled, in every configuration that anything needs.
QUERY = 'mnemonic("CppCompile", deps(//...))'

# Clang-tidy has no use for these, and the files that they name come and go.
DROPPED_PREFIXES = ("-fmodule-", "-fmodules-", "-frandom-seed=", "-Wprivate-header", "-MD")
DROPPED_PAIRS = ("-MF", "-o")


# Other people's sources, and generated ones.
ELSEWHERE = ("external/", "bazel-out/")


def bazel(*arguments: str) -> str:
    """Bazel's answer. Raises CalledProcessError when it has none."""
    run = subprocess.run(["/usr/bin/bazel", *arguments], check=True, capture_output=True, text=True)
    return run.stdout


def cleaned(arguments: list[str], output_base: str) -> Iterator[str]:
    """A compiler's command line without what only Bazel needs, to be run in the tree."""
    rest = iter(arguments)
    for argument in rest:
        if argument in DROPPED_PAIRS:
            next(rest)
        elif argument.startswith("external/"):
            yield f"{output_base}/{argument}"
        elif not argument.startswith(DROPPED_PREFIXES):
            yield argument


def read_entries(actions: list[dict[str, Any]], output_base: str) -> list[dict[str, Any]]:
    """One entry per source file of the tree, bare metal only where there is no other."""
    entries: dict[str, dict[str, Any]] = {}
    for action in actions:
        arguments = action["arguments"]
        source = arguments[arguments.index("-c") + 1]
        hosted = not any(argument.startswith("--target=") for argument in arguments)
        if not source.startswith(ELSEWHERE) and source.endswith(".cc"):
            if hosted or source not in entries:
                entries[source] = {
                    "directory": str(Path.cwd()),
                    "file": source,
                    "arguments": list(cleaned(arguments, output_base)),
                }
    return [entries[source] for source in sorted(entries)]


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        output_base = bazel("info", "output_base").strip()
        answer = bazel("aquery", "--output=jsonproto", QUERY)
    except subprocess.CalledProcessError as error:
        print(f"{error.stderr}bazel {error.cmd[1]} failed", file=sys.stderr)
        return 1
    entries = read_entries(json.loads(answer)["actions"], output_base)
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compile_commands.json").write_text(json.dumps(entries, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
