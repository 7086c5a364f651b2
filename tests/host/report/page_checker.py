# SPDX-License-Identifier: BSD-3-Clause
"""Pages that are whole and need nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser


class _Checker(HTMLParser):
    """Every element is closed, and nothing is fetched."""

    VOID = {"meta", "link", "br", "img", "input", "hr"}

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            assert name not in ("src", "action", "srcset"), (tag, value)
            assert name != "href" or not re.match(r"\w+:|//", value or ""), value
        assert tag not in ("link", "iframe", "img", "object", "embed")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def checked_text(html: str) -> str:
    """What a page says, its markup and spaces left out."""
    checker = _Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    assert "url(" not in html and "@import" not in html and "http" not in html
    return " ".join(" ".join(checker.text).split())
