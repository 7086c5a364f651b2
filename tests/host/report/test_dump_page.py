# SPDX-License-Identifier: BSD-3-Clause
"""`khorig inspect --html --svg`"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from dumps.dump_files import write_raw
from dumps.sample import Sample
from report.page_checker import checked_text
from view.handover_image import PAGE, SCRATCH, typical_image

from khorig.cli.main import main
from khorig.out.report.dump_page import dump_html, dump_svg

_SVG = "{http://www.w3.org/2000/svg}"


def _broken() -> Sample:
    """A page of scratch is preserved, and a page that the allocator calls free."""
    sample = Sample()
    sample.image.preserve(SCRATCH[1].begin + PAGE, 0)
    sample.frames[sample.log] = 0x20
    return sample.finish()


def test_a_consistent_dump() -> None:
    text = checked_text(dump_html(Sample().finish().snapshot()))
    for words in ("x86_64, q35", "kho-v4", "rules hold", "52 pages in 26 blocks",
                  "scratch 12 MiB", "memblock/mem0", "tracker", "khorig-stores-v1",
                  "session 'vm' with 1 files", "free"):  # fmt: skip
        assert words in text, words
    assert "FAILED" not in text.split("</style>")[-1].split("Memory")[0]


def test_what_does_not_hold_comes_first() -> None:
    page = dump_html(_broken().snapshot())
    text = checked_text(page)
    assert "2 rules FAILED" in text and "1 warning " in text
    for words in ("KHR-I021 no preserved block overlaps scratch", "0x41801000",
                  "free head", "khorig/log"):  # fmt: skip
        assert words in text, words
    assert 'data-name="conflict"' in page


def test_names_are_no_markup() -> None:
    sample = Sample()
    sample.image.clients["a&b"] = sample.image.link(sample.image.preserved_page(), 8)
    snapshot = sample.finish().snapshot()
    for text in (dump_html(snapshot), dump_svg(snapshot)):
        assert "a&amp;b" in text and "a&b" not in text


def test_the_picture_is_an_svg_with_rows_and_legend() -> None:
    root = ElementTree.fromstring(dump_svg(_broken().snapshot()))
    texts = ["".join(element.itertext()) for element in root.iter(f"{_SVG}text")]
    for words in ("sample", "4 MiB per row", "0x40000000", "scratch 12 MiB", "tracker 96 KiB",
                  "conflict 8 KiB"):  # fmt: skip
        assert words in texts, texts
    shown = {element.get("class") for element in root.iter(f"{_SVG}path") if element.get("d")}
    assert {"m-ram", "m-scratch", "m-node", "m-fragment", "m-conflict"} <= shown


def test_no_label_of_the_picture_reaches_into_another() -> None:
    sample = Sample()
    for number in range(30):
        name = f"client-{number}-" + "long-" * (number % 8)
        sample.image.clients[name] = sample.image.link(sample.image.preserved_page(), 8)
    root = ElementTree.fromstring(dump_svg(sample.finish().snapshot()))
    width, height = (float(word) for word in (root.get("viewBox") or "").split()[2:])
    boxes = []
    for element in root.iter(f"{_SVG}text"):
        font = float(element.get("font-size") or root.get("font-size") or 0)
        length = 0.602 * font * len("".join(element.itertext()))  # of a fixed-width font
        begin = float(element.get("x") or 0)
        if element.get("text-anchor") == "end":
            begin -= length
        bottom = float(element.get("y") or 0)
        boxes.append((begin, bottom - 0.8 * font, begin + length, bottom + 0.2 * font))
    assert len(boxes) > 50
    for number, (left, top, right, bottom) in enumerate(boxes):
        assert 0 <= left and right <= width and 0 <= top and bottom <= height, boxes[number]
        for other in boxes[number + 1 :]:
            apart = other[0] >= right or other[2] <= left or other[1] >= bottom or other[3] <= top
            assert apart, (boxes[number], other)


def test_the_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = typical_image()
    image.finish()
    write_raw(tmp_path / "image", image.ram, {})
    files = {"--html": tmp_path / "a.html", "--svg": tmp_path / "a.svg"}
    words = ["inspect", str(tmp_path / "image"), "--machine", "virt"]

    def status(*more: str) -> object:
        with pytest.raises(SystemExit) as end:
            main([*words, *more])
        return end.value.code

    assert status(*(str(word) for pair in files.items() for word in pair)) == 0
    assert capsys.readouterr().out == ""
    assert "memblock/mem0" in checked_text(files["--html"].read_text())
    ElementTree.parse(files["--svg"])
    assert status("--html", str(tmp_path / "no" / "x.html")) == 3
    assert "No such file" in capsys.readouterr().err
