# SPDX-License-Identifier: BSD-3-Clause
"""Says how a `bazel test` went, from Bazel's build event file and the tests' JUnit reports.

Usage: summarize_tests.py EVENTS

One line per target, then what failed and why, what was skipped and why, and last of all `N passed,
N failed, N skipped`, counted in test cases. A target that did not come as far as a report counts as
one failed case. Ends with status 1 when anything failed, 4 when nothing ran.
"""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

STATUS_FAILED = 1
STATUS_NOTHING_RAN = 4
MESSAGE_LINES = 5


@dataclass
class Target:
    """What became of one test target."""

    label: str
    status: str  # Bazel's: PASSED, FAILED, TIMEOUT, FAILED_TO_BUILD, ...
    seconds: float = 0.0
    cached: bool = False
    log: Path | None = None
    passed: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)  # case, its message
    skips: list[str] = field(default_factory=list)  # reasons

    def read_report(self, report: Path) -> None:
        """Adds the cases of a JUnit report."""
        for case in ElementTree.parse(report).iter("testcase"):
            name = f"{case.get('classname', '')}.{case.get('name', '')}".strip(".")
            broken = [element for tag in ("failure", "error") for element in case.findall(tag)]
            skipped = case.find("skipped")
            if broken:
                self.failures.append((name, words_of(broken[0])))
            elif skipped is not None:
                self.skips.append(words_of(skipped).split("\n", 1)[0] or "no reason given")
            elif case.get("status") != "notrun":
                self.passed += 1

    def settle(self) -> None:
        """Makes the cases agree with the status: a crash has no case of its own."""
        if self.status != "PASSED" and not self.failures:
            self.failures.append(("", self.status.replace("_", " ").lower()))


def words_of(element: ElementTree.Element) -> str:
    """What a report says about a case, without the place that GoogleTest puts first."""
    text = (element.get("message") or element.text or "").strip()
    return re.sub(r"^\S+:\d+\n", "", text)


def local_path(uri: str) -> Path:
    """The path in a file: URI."""
    return Path(unquote(urlparse(uri).path))


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """The events of a --build_event_json_file, up to where Bazel was interrupted."""
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return


def add_result(target: Target, result: dict[str, Any]) -> None:
    """Takes over one testResult event."""
    target.status = result["status"]
    target.cached = result.get("cachedLocally", False)
    for output in result.get("testActionOutput", []):
        path = local_path(output["uri"])
        if output["name"] == "test.log":
            target.log = path
        elif output["name"] == "test.xml" and path.is_file():
            target.read_report(path)


def read_targets(events: Path) -> tuple[list[Target], float]:
    """All test targets in the order of their labels, and how long Bazel ran in seconds."""
    targets: dict[str, Target] = {}
    begin = end = 0.0
    for event in read_events(events):
        identity = event["id"]
        if "started" in event:
            begin = int(event["started"]["startTimeMillis"]) / 1000
        elif "finished" in event:
            end = int(event["finished"]["finishTimeMillis"]) / 1000
        elif "testResult" in identity and "testResult" in event:
            label = identity["testResult"]["label"]
            add_result(targets.setdefault(label, Target(label, "")), event["testResult"])
        elif "targetCompleted" in identity and not event.get("completed", {}).get("success"):
            label = identity["targetCompleted"]["label"]
            if event.get("aborted", {}).get("reason") != "SKIPPED":
                targets.setdefault(label, Target(label, "FAILED_TO_BUILD"))
        elif "testSummary" in identity and "testSummary" in event:
            label = identity["testSummary"]["label"]
            summary = event["testSummary"]
            target = targets.setdefault(label, Target(label, summary["overallStatus"]))
            target.seconds = int(summary.get("totalRunDurationMillis", 0)) / 1000
    for target in targets.values():
        target.settle()
    return sorted(targets.values(), key=lambda target: target.label), max(0.0, end - begin)


def print_target(target: Target) -> None:
    """One line about a target."""
    counts = [f"{target.passed} passed"]
    if target.failures:
        counts.append(f"{len(target.failures)} failed")
    if target.skips:
        counts.append(f"{len(target.skips)} skipped")
    verdict = "FAIL" if target.failures else "PASS"
    took = "cached" if target.cached else f"{target.seconds:.1f} s"
    print(f" {verdict}  {target.label:<52} {took:>8}  {', '.join(counts)}")


def print_failures(target: Target) -> None:
    """Each failed case of a target with its cause, and where to read on."""
    for case, message in target.failures:
        print(f"FAILED  {target.label}  {case}".rstrip())
        for line in message.splitlines()[:MESSAGE_LINES]:
            print(f"        {line}")
    if target.failures and target.log is not None:
        print(f"        log: {target.log}")
    if target.failures:
        print(f"        rerun: bazel test {target.label}")


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    targets, seconds = read_targets(Path(arguments[0]))
    for target in targets:
        print_target(target)
    for target in targets:
        print_failures(target)
    skips = Counter(reason for target in targets for reason in target.skips)
    for reason, count in sorted(skips.items()):
        print(f"SKIPPED {count} x {reason}")

    passed = sum(target.passed for target in targets)
    failed = sum(len(target.failures) for target in targets)
    print(f"{len(targets)} targets in {seconds:.1f} s")
    print(f"{passed} passed, {failed} failed, {sum(skips.values())} skipped")
    if failed:
        return STATUS_FAILED
    return 0 if passed else STATUS_NOTHING_RAN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
