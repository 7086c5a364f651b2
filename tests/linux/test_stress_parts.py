# SPDX-License-Identifier: BSD-3-Clause
"""Parts of --stress and of the memory map in the init of a Linux peer (khorig/linux/init/), with
the C library of this machine in place of nolibc."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

import khorig

_INIT = Path(khorig.__file__).parent / "linux" / "init"
_MAIN = """
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "memory_map.h"
#include "pattern.h"
#include "system_file.h"
#define PAGES 64
int main(int argc, char **argv) {
  static char memory[PAGES * PAGE] __attribute__((aligned(4096)));
  if (!strcmp(argv[1], "ranges")) {
    snprintf(command_line, sizeof(command_line), "%s", argc > 3 ? argv[3] : "");
    char *at = argv[2];
    do say_ranges(&at); while (*at);
    return 0;
  }
  if (!strcmp(argv[1], "number")) {
    unsigned long long number = read_number(argv[2]);
    printf("%lld", number == NO_NUMBER ? -1LL : (long long)number);
    return write_number(argv[3], 17);
  }
  struct lost_pages lost = {0, 0, 0};
  for (unsigned long page = 0; page < PAGES; page++) put_pattern(memory, page);
  for (int i = 3; i < argc; i++) memory[strtoul(argv[i], NULL, 0)] ^= 1;
  check_pattern(memory, PAGES, !strcmp(argv[2], "dropped"), &lost);
  int is_known = lost.count && lost.address % PAGE == 0;
  printf("%llu %llu %d", lost.count, lost.number, is_known);
  return 0;
}
"""


@pytest.fixture(name="parts", scope="module")
def parts_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that does what its arguments say."""
    folder = tmp_path_factory.mktemp("parts")
    (folder / "machine.h").write_text("static unsigned long long counter(void) { return 1; }\n")
    (folder / "main.c").write_text(_MAIN)
    words = ["clang-19", "-D_GNU_SOURCE", "-Wno-unused-result", "-I", str(folder), "-I", str(_INIT)]
    words += [str(folder / "main.c"), "-o", str(folder / "main")]
    subprocess.run(words, check=True)
    return folder / "main"


def said(parts: Path, *words: str, status: int = 0) -> str:
    done = subprocess.run([parts, *words], capture_output=True, text=True, check=False)
    assert done.returncode == status
    return done.stdout


@pytest.mark.parametrize(
    ("how", "bytes_", "found"),
    [
        ("all", (), "0 0 0"),
        ("all", (5 * 4096,), "1 5 1"),
        ("all", (7 * 4096 + 4095, 20 * 4096 + 3), "2 7 1"),
        ("all", (9 * 4096 + 100,), "0 0 0"),  # between the two words of the pattern
        ("dropped", (20 * 4096, 40 * 4096), "1 40 1"),  # 16 to 31 are given back
    ],
)
def test_a_page_that_lost_its_pattern(
    parts: Path, how: str, bytes_: tuple[int, ...], found: str
) -> None:
    assert said(parts, "pattern", how, *map(str, bytes_)) == found


def ranges(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("@khorig ")) for line in text.splitlines()]


_IOMEM = """\
00000000-00000fff : Reserved
00001000-0009fbff : System RAM
  00001000-00001fff : Kernel code
nonsense
3fffe000-3fffefff : a "name"
100000000-8ffffffff : PCI Bus 0000:00
"""


def test_the_outermost_ranges_of_iomem(parts: Path) -> None:
    [event] = ranges(said(parts, "ranges", _IOMEM))
    assert event["ranges"] == [
        ["0x0", "0x1000", "Reserved"],
        ["0x1000", "0x9ec00", "System RAM"],
        ["0x3fffe000", "0x1000", 'a "name"'],
        ["0x100000000", "0x800000000", "PCI Bus 0000:00"],
    ]
    assert (event["last"], event["limited"]) == (True, Path("/proc/vmcore").exists())
    for option in ("mem=512M", "quiet memmap=4M$0x1000000"):
        assert ranges(said(parts, "ranges", _IOMEM, option))[0]["limited"] is True


def test_many_ranges_take_several_events(parts: Path) -> None:
    name = "x" * 60
    text = "".join(f"{n:x}000-{n:x}fff : {name}{n}\n" for n in range(100))
    events = ranges(said(parts, "ranges", text))
    assert [event["last"] for event in events] == [False] * (len(events) - 1) + [True]
    assert [item[2] for event in events for item in event["ranges"]] == [
        f"{name}{n}" for n in range(100)
    ]


def test_numbers_in_files(parts: Path, tmp_path: Path) -> None:
    number, nothing, to = (tmp_path / name for name in ("number", "nothing", "to"))
    number.write_text("123\n")
    nothing.write_text("<none>\n")
    to.write_text("")
    assert said(parts, "number", str(number), str(to)) == "123"
    assert to.read_text() == "17"
    assert said(parts, "number", str(nothing), str(to)) == "-1"
    assert said(parts, "number", str(tmp_path / "x"), str(to)) == "-1"
    assert said(parts, "number", str(number), "/none/to", status=2) == "123"
