# SPDX-License-Identifier: BSD-3-Clause
"""The page in a browser: nothing sticks out on a telephone, everything is drawn, nothing throws."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Mapping

import pytest
from dumps.sample import Sample
from report.runs import result, write_session

from khorig.out.report.dump_page import dump_html
from khorig.out.report.page import write_report
from khorig.rules.finding import Verdict

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-dev-shm-usage", "--disable-breakpad", "--no-zygote",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1300,900", "--virtual-time-budget=5000", "--dump-dom", "--hide-scrollbars",
)  # fmt: skip
_WIDTHS = (400, 1200)
_DARK, _LIGHT = 0, 1  # as --blink-settings has them

# Every run is opened, and what the page looks like is written where --dump-dom shows it.
_PROBE = """
<pre id="facts"></pre>
<script>
addEventListener("load", () => {
  const facts = [...document.querySelectorAll("iframe")].map((frame) => {
    const page = frame.contentDocument, root = page.documentElement;
    for (const run of page.querySelectorAll("details")) run.open = true;
    const map = page.querySelector(".map svg");
    map.dispatchEvent(new PointerEvent("pointermove", {clientX: 0, clientY: 0}));
    const paths = [...page.querySelectorAll(".map path, .zoom rect")];
    const wide = [...page.body.querySelectorAll("*")].filter((e) =>
      e.getBoundingClientRect().right > root.clientWidth + 1 && !e.closest("pre, .log"));
    return {
      width: root.clientWidth,
      overflow: root.scrollWidth - root.clientWidth,
      wide: wide.slice(0, 3).map((e) => e.outerHTML.slice(0, 200)),
      empty: paths.filter((p) => !p.getBBox().width).length,
      drawn: paths.length,
      background: frame.contentWindow.getComputedStyle(page.body).backgroundColor,
      error: root.dataset.error || "",
      maps: [...page.querySelectorAll(".map svg")].map((s) => s.getBoundingClientRect().height),
    };
  });
  document.getElementById("facts").textContent = JSON.stringify(facts);
});
</script>
"""


def _browse(pages: Mapping[str, str], folder: Path, scheme: int) -> dict[str, list[dict[str, Any]]]:
    """What the browser says of each page, at each of the widths. One process opens them all: to
    start takes longer than to draw."""
    catcher = "<script>onerror = (m) => { document.documentElement.dataset.error = m; };</script>"
    frames = ""
    for text in pages.values():
        inner = html.escape(text.replace("<head>", f"<head>{catcher}", 1))
        for width in _WIDTHS:
            frames += f'<iframe style="width: {width}px" srcdoc="{inner}"></iframe>'
    probe = folder / "probe.html"
    style = '<meta charset="utf-8"><style>iframe { border: 0; height: 800px }</style>'
    probe.write_text(f"<!DOCTYPE html>{style}{frames}{_PROBE}", encoding="utf-8")
    assert _CHROMIUM is not None
    done = subprocess.run(
        [_CHROMIUM, *_OPTIONS, f"--user-data-dir={folder}/profile",
         f"--blink-settings=preferredColorScheme={scheme}", probe.as_uri()],
        capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": str(folder)},
    )  # fmt: skip
    match = re.search(r'<pre id="facts">(.+?)</pre>', done.stdout)
    assert match, f"{_CHROMIUM} ended with status {done.returncode}: {done.stderr[-2000:]}"
    facts: list[dict[str, Any]] = json.loads(html.unescape(match.group(1)))
    assert len(facts) == len(pages) * len(_WIDTHS)
    of_each = len(_WIDTHS)
    return {name: facts[n * of_each : (n + 1) * of_each] for n, name in enumerate(pages)}


def _check(fact: dict[str, Any], width: int, scheme: int) -> None:
    assert fact["error"] == ""
    assert fact["width"] == width
    assert fact["overflow"] <= 0 and fact["wide"] == [], fact["wide"]
    assert fact["drawn"] > 10 and fact["empty"] == 0
    assert min(fact["maps"]) > 100
    channels = [int(number) for number in re.findall(r"\d+", fact["background"])]
    assert (sum(channels[:3]) > 384) == (scheme == _LIGHT), fact["background"]


@pytest.mark.skipif(_CHROMIUM is None, reason="no chromium: apt-get install chromium")
@pytest.mark.parametrize("scheme", [_LIGHT, _DARK], ids=["light", "dark"])
def test_pages_fit_and_are_drawn(tmp_path: Path, scheme: int) -> None:
    runs = [result(Verdict.PASS), result(Verdict.FAIL, fault="segment-outside-scratch")]
    report = write_report(write_session(tmp_path / "session", runs))
    sample = Sample()
    sample.frames[sample.log] = 0x20
    pages = {
        "runs": report.read_text(encoding="utf-8"),
        "dump": dump_html(sample.finish().snapshot()),
    }
    found = _browse(pages, tmp_path, scheme)
    for name, maps in (("runs", 2), ("dump", 1)):
        for width, fact in zip(_WIDTHS, found[name], strict=True):
            _check(fact, width, scheme)
            assert len(fact["maps"]) == maps, name
