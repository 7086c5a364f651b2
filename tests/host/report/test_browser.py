# SPDX-License-Identifier: BSD-3-Clause
"""The page in a browser: nothing sticks out on a telephone, everything is drawn, nothing throws."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from dumps.sample import Sample
from report.runs import result, write_session

from khorig.out.report.dump_page import dump_html
from khorig.out.report.page import write_report
from khorig.rules.finding import Verdict

_CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1300,900", "--virtual-time-budget=5000", "--dump-dom", "--hide-scrollbars",
)  # fmt: skip
_WIDTHS = (400, 1200)
_NEEDS_CHROMIUM = pytest.mark.skipif(
    _CHROMIUM is None, reason="no chromium: apt-get install chromium"
)
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


def _open(page: Path, folder: Path, scheme: int) -> list[dict[str, Any]]:
    """What the browser says of the page, at each of the widths."""
    text = page.read_text(encoding="utf-8")
    catcher = "<script>onerror = (m) => { document.documentElement.dataset.error = m; };</script>"
    inner = html.escape(text.replace("<head>", f"<head>{catcher}", 1))
    frames = "".join(f'<iframe style="width: {w}px" srcdoc="{inner}"></iframe>' for w in _WIDTHS)
    probe = folder / "probe.html"
    style = '<meta charset="utf-8"><style>iframe { border: 0; height: 800px }</style>'
    probe.write_text(f"<!DOCTYPE html>{style}{frames}{_PROBE}", encoding="utf-8")
    assert _CHROMIUM is not None
    done = subprocess.run(
        [_CHROMIUM, *_OPTIONS, f"--user-data-dir={folder}/profile",
         f"--blink-settings=preferredColorScheme={scheme}", probe.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    match = re.search(r'<pre id="facts">(.+?)</pre>', done.stdout)
    assert match, done.stderr[-2000:]
    facts: list[dict[str, Any]] = json.loads(html.unescape(match.group(1)))
    return facts


def _check(fact: dict[str, Any], scheme: int) -> None:
    assert fact["error"] == ""
    assert fact["overflow"] <= 0 and fact["wide"] == [], fact["wide"]
    assert fact["drawn"] > 10 and fact["empty"] == 0
    assert min(fact["maps"]) > 100
    channels = [int(number) for number in re.findall(r"\d+", fact["background"])]
    assert (sum(channels[:3]) > 384) == (scheme == _LIGHT), fact["background"]


@_NEEDS_CHROMIUM
@pytest.mark.parametrize("scheme", [_LIGHT, _DARK])
def test_the_page_of_runs_fits_and_is_drawn(tmp_path: Path, scheme: int) -> None:
    runs = [result(Verdict.PASS), result(Verdict.FAIL, fault="segment-outside-scratch")]
    page = write_report(write_session(tmp_path / "session", runs))
    facts = _open(page, tmp_path, scheme)
    assert [fact["width"] for fact in facts] == list(_WIDTHS)
    for fact in facts:
        _check(fact, scheme)
        assert len(fact["maps"]) == 2


@_NEEDS_CHROMIUM
@pytest.mark.parametrize("scheme", [_LIGHT, _DARK])
def test_the_page_of_a_dump_fits_and_is_drawn(tmp_path: Path, scheme: int) -> None:
    sample = Sample()
    sample.frames[sample.log] = 0x20
    page = tmp_path / "dump.html"
    page.write_text(dump_html(sample.finish().snapshot()), encoding="utf-8")
    for fact in _open(page, tmp_path, scheme):
        _check(fact, scheme)
        assert len(fact["maps"]) == 1
