# SPDX-License-Identifier: BSD-3-Clause
"""JUnit XML for CI systems."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Sequence

from khorig.out.text import result_lines
from khorig.rules.finding import Verdict
from khorig.run.result import RunResult

# Characters that XML 1.0 cannot represent; guest output may contain them.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_ELEMENTS = {
    Verdict.FAIL: "failure",
    Verdict.CRASH: "failure",
    Verdict.HANG: "failure",
    Verdict.INFRA: "error",
    Verdict.SKIP: "skipped",
}


def junit_document(results: Sequence[RunResult]) -> str:
    """junit.xml: one test case per run."""
    elements = [_ELEMENTS.get(result.verdict, "") for result in results]
    suite = ET.Element(
        "testsuite",
        name="khorig",
        tests=str(len(results)),
        failures=str(elements.count("failure")),
        errors=str(elements.count("error")),
        skipped=str(elements.count("skipped")),
        time=f"{sum(result.wall_s for result in results):.3f}",
    )
    for result, element in zip(results, elements):
        suite.append(_case(result, element))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root, " ")
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(result: RunResult, element: str) -> ET.Element:
    spec = result.spec
    case = ET.Element(
        "testcase",
        classname="khorig." + spec.what.replace(".", "_"),  # a dot begins a package
        name=result.id,
        time=f"{result.wall_s:.3f}",
    )
    properties = ET.SubElement(case, "properties")
    for name, value in (("seed", f"{spec.seed:#x}"), ("qemu", result.qemu)):
        ET.SubElement(properties, "property", name=name, value=value)
    text = _NOT_XML.sub("?", "\n".join(result_lines(result, in_document=True)))
    if element:
        detail = ET.SubElement(
            case, element, type=result.rule or "none", message=_NOT_XML.sub("?", result.cause)
        )
        if element != "skipped":
            detail.set("type", result.verdict.value)
            detail.text = text
    else:
        ET.SubElement(case, "system-out").text = text
    return case
