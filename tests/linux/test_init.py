# SPDX-License-Identifier: BSD-3-Clause
"""What the init of a Linux peer reports of memory and of a kernel without handover
(khorig/linux/init/), with the C library of this machine in place of nolibc."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

import khorig
from khorig.guest.kexec_flags import KEXEC_FLAGS

_INIT = Path(khorig.__file__).parent / "linux" / "init"
_MAIN = """
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#define HUGE_PAGES "/nothing"
#include "cpus.h"
#include "kexec_flags.h"
#include "kho_off.h"
#include "liveupdate.h"
#include "reserved.h"
/* Makes the memfd of that name as the next kernel is to get it, damages it and checks it. */
static int use(const char *name, const char *damage, int number) {
  const struct memfd *file = memfds;
  while (strcmp(file->name, name)) file++;
  unsigned long long *words = NULL, *bytes;
  int memfd = create_memfd(file, &words);
  if (memfd < 0) return 3;
  for (int when = PRESERVED; when <= LOADED; when++) {
    if (file->is_late) write_memfd(file, words, when);
  }
  if (!strcmp(damage, "size") && ftruncate(memfd, number)) return 3;
  if (!strcmp(damage, "position")) lseek(memfd, number, SEEK_SET);
  if (!strcmp(damage, "seals") && fcntl(memfd, F_ADD_SEALS, number)) return 3;
  if (!strcmp(damage, "byte")) {
    bytes = mmap(NULL, file->size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    if (bytes == MAP_FAILED) return 3;
    ((char *)bytes)[number] ^= 0x55;
  }
  if (!strcmp(damage, "lost")) write_memfd(file, words, number); /* what was written last */
  say_memfd(file, 1, check_memfd(file, memfd, "received", LOADED));
  return failed;
}
int main(int argc, char **argv) {
  if (!strcmp(argv[1], "cpus")) {
    printf("%llu", count_cpus(argv[2]));
    return 0;
  }
  if (!strcmp(argv[1], "flags")) {
    snprintf(command_line, sizeof(command_line), "%s", argv[2]);
    printf("%#lx", kexec_flags());
    return failed;
  }
  if (!strcmp(argv[1], "kho")) {
    snprintf(command_line, sizeof(command_line), "%s", argv[2]);
    for (int i = 3; i < argc; i++) look_for_causes(argv[i]);
    name_kho_off();
    return failed;
  }
  if (!strcmp(argv[1], "refused")) {
    for (int i = 2; i < argc; i++) look_for_causes(argv[i]);
    say_refused();
    return 0;
  }
  if (!strcmp(argv[1], "memfd")) return use(argv[2], argv[3], atoi(argv[4]));
  struct wrong_pages wrong = {0};
  struct area area = {0x3fc00000, 0x100000};
  unsigned long long pages[256][512] = {0};
  for (int i = 0; i < 256; i++) fill_page(pages[i], content_base(7, i));
  for (int i = 2; i < argc; i++) pages[strtoul(argv[i], NULL, 0)][2] = 0xbad;
  for (int i = 0; i < 256; i++) check_page(pages[i], content_base(7, i), PAGE, i, &wrong);
  if (wrong.count) fail_pages("reference", area, &wrong, 256);
  return failed;
}
"""

# Names that init/liveupdate.h takes from the kernel's header, which this machine's lacks.
_FIELDS = "{ unsigned size; int fd; unsigned long long token; char name[64]; };"
_STRUCTS = ("ioctl_create_session", "ioctl_retrieve_session", "session_finish",
            "session_preserve_fd", "session_retrieve_fd")  # fmt: skip
_REQUESTS = ("IOCTL_CREATE_SESSION", "IOCTL_RETRIEVE_SESSION", "SESSION_FINISH",
             "SESSION_PRESERVE_FD", "SESSION_RETRIEVE_FD")  # fmt: skip
_LIVEUPDATE = "\n".join(
    [f"struct liveupdate_{name} {_FIELDS}" for name in _STRUCTS]
    + [f"#define LIVEUPDATE_{name} 0" for name in _REQUESTS]
) + "\n"  # fmt: skip


@pytest.fixture(scope="module")
def init(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that reports what its arguments say."""
    folder = tmp_path_factory.mktemp("init")
    (folder / "machine.h").write_text("static unsigned long long counter(void) { return 1; }\n")
    (folder / "linux").mkdir()
    (folder / "linux/liveupdate.h").write_text(_LIVEUPDATE)
    (folder / "main.c").write_text(_MAIN)
    words = ["clang-19", "-D_GNU_SOURCE", "-Wno-unused-result", "-I", str(folder), "-I", str(_INIT)]
    words += [str(folder / "main.c"), "-o", str(folder / "main")]
    subprocess.run(words, check=True)
    return folder / "main"


def events(init: Path, *words: str) -> list[dict[str, Any]]:
    """What it says."""
    done = subprocess.run([init, *words], capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("@khorig ")]
    found = [json.loads(line.removeprefix("@khorig ")) for line in lines]
    assert done.returncode == any(event["ev"] == "fail" for event in found), done
    return found


def texts(init: Path, *words: str) -> list[str]:
    """What it says of its failures."""
    failures = [event for event in events(init, *words) if event["ev"] == "fail"]
    return [f"{event['what']}: {event['text']}" for event in failures]


def test_wrong_pages_have_their_numbers_addresses_and_words(init: Path) -> None:
    [text] = texts(init, "reserved", "5", "7")
    assert re.fullmatch(
        "reserve_mem: 2 of 256 pages lost their content: page 5 of memblock/reference at "
        "0x3fc05000: word at [+]0x10 is 0xbad, expected 0x[0-9a-f]{12,16}; page 7 of "
        "memblock/reference at 0x3fc07000: word at [+]0x10 is 0xbad, expected 0x[0-9a-f]{12,16}",
        text,
    )
    assert texts(init, "reserved") == []


def test_of_many_wrong_pages_the_first_are_named(init: Path) -> None:
    [text] = texts(init, "reserved", *map(str, range(200)))
    assert "200 of 256 pages" in text and text.count(" at 0x") == 4 and "0x3fc03000: " in text


@pytest.mark.parametrize(
    "name", ["whole", "odd", "sparse", "sealed", "future", "many", "huge", "empty"]
)
def test_a_memfd_that_arrives_is_right(init: Path, name: str) -> None:
    [event] = events(init, "memfd", name, "nothing", "0")
    assert event["ev"] == "memfd" and event["name"] == name and event["ok"] is True
    damaged = texts(init, "memfd", name, "position", "77")
    assert [text.rpartition(": ")[2] for text in damaged] == [
        f"position 0x4d, expected {int(event['position']):#x}"
    ]


@pytest.mark.parametrize(
    "name, at, where",
    [
        ("whole", 299 * 4096, "1 of 300 pages lost their content: page 299: word at +0x0 is"),
        ("odd", 37 * 4096 + 1236, "1 of 38 pages lost their content: page 37: word at +0x4d0 is"),
        ("sparse", 16 * 4096 + 9, "hole at page 16: word at +0x8 is 0x5500, expected 0x0"),
        ("many", 4096 + 7, "1 of 601 pages lost their content: page 1: word at +0x0 is"),
        ("huge", 514 * 4096, "1 of 516 pages lost their content: page 514: word"),
    ],
)
def test_one_byte_of_a_memfd_is_enough(init: Path, name: str, at: int, where: str) -> None:
    [text] = texts(init, "memfd", name, "byte", str(at))
    assert text.startswith(f"liveupdate: memfd '{name}' (session khorig") and where in text


@pytest.mark.parametrize("name", ["odd", "sparse", "future", "many", "huge"])
def test_what_was_written_last_must_arrive(init: Path, name: str) -> None:
    """After the file was preserved, and when the next kernel was loaded."""
    [text] = texts(init, "memfd", name, "lost", "2")
    assert "pages lost their content: page 2: word at +0x0 is" in text


@pytest.mark.parametrize(
    "name, damage, number, text",
    [
        ("whole", "size", 300 * 4096 - 1, "size 0x12bfff, expected 0x12c000"),
        ("odd", "size", 37 * 4096 + 1238, "size 0x254d6, expected 0x254d5"),
        ("odd", "seals", 4, "seals 0x4, expected 0x0"),
        ("future", "seals", 1, "seals 0x13, expected 0x12"),
    ],
)
def test_size_and_seals_of_a_memfd_are_checked(
    init: Path, name: str, damage: str, number: int, text: str
) -> None:
    [found] = texts(init, "memfd", name, damage, str(number))
    assert found.endswith(f"), received: {text}")


def test_a_byte_behind_the_end_is_nobodys(init: Path) -> None:
    assert texts(init, "memfd", "odd", "byte", str(37 * 4096 + 1237)) == []


@pytest.mark.parametrize(
    "words", [(), ("no-cma",), ("no-cma", "force-dtb"), tuple(KEXEC_FLAGS)], ids=",".join
)
def test_flags_of_kexec_are_those_of_their_words(init: Path, words: tuple[str, ...]) -> None:
    line = f"quiet khorig.kexec={','.join(words)} ro"
    done = subprocess.run([init, "flags", line], capture_output=True, text=True, check=True)
    assert int(done.stdout, 16) == sum(KEXEC_FLAGS[word] for word in words)


def test_a_word_that_is_no_flag_is_named(init: Path) -> None:
    assert texts(init, "flags", "khorig.kexec=no-cma,none") == [
        "kexec_file_load: khorig.kexec= has a word that is no flag"
    ]


@pytest.mark.parametrize("value", ["off", "0", "n", "OF"])
def test_kho_that_is_off_is_named(init: Path, value: str) -> None:
    """The last word of the command line counts, as in Linux."""
    assert texts(init, "kho", f"quiet kho=on kho={value}") == [
        f"kho: off by kho={value} on the command line"
    ]
    assert texts(init, "kho", f"kho={value} kho=on") == []


def test_kho_that_is_meant_to_be_off_is_not(init: Path) -> None:
    assert texts(init, "kho", "kho=off khorig.kho=off") == []
    assert texts(init, "kho", "kho=off khorig.kho=on") != []


@pytest.mark.parametrize("scratch", ["scratch", "bootmem"])
def test_kho_without_scratch_is_named(init: Path, scratch: str) -> None:
    """Recorded of a 7.3, and of one with the names of 7.4 (test_bootmem.py)."""
    log = (
        f"KHO: {scratch} areas: lowmem: 1024MiB global: 2048MiB pernode: 2MiB",
        f"KHO: Failed to reserve lowmem {scratch} buffer",
        f"KHO: Failed to reserve {scratch} area, disabling kexec handover",
    )
    assert texts(init, "kho", "kho=on", *log) == [
        "kho: switched itself off: no room for scratch (see kho_scratch=)"
    ]
    assert texts(init, "kho", "kho=on", *log[:2]) == [], "it may be on, without debugfs"


@pytest.mark.parametrize("scratch", ["scratch", "bootmem", "boot memory"])
def test_scratch_that_cannot_be_marked_is_a_refusal_by_either_name(
    init: Path, scratch: str
) -> None:
    text = f"KHO: failed to mark the {scratch} region 0x7a800000+0x4000000: -12"
    done = subprocess.run(
        [init, "refused", text, "KHO: disabling KHO revival: -12"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    event = json.loads(done.stdout.split("@khorig ")[1])
    assert (event["cause"], event["text"]) == ("scratch", text)


@pytest.mark.parametrize(
    "cpus, count",
    [("0\n", 1), ("0-3\n", 4), ("0-1,3,6-7\n", 5), ("", 0), ("x", 0), ("3-1\n", 0), ("0,,2", 1)],
)
def test_online_cpus_are_counted(init: Path, cpus: str, count: int) -> None:
    done = subprocess.run([init, "cpus", cpus], capture_output=True, text=True, check=True)
    assert done.stdout == str(count)
