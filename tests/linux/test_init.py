# SPDX-License-Identifier: BSD-3-Clause
"""What the init of a Linux peer reports of memory and of a kernel without handover
(khorig/linux/init/), with the C library of this machine in place of nolibc."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

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
#include "cpus.h"
#include "kexec_flags.h"
#include "kho_off.h"
#include "liveupdate.h"
#include "reserved.h"
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
  struct wrong_pages wrong = {0};
  struct area area = {0x3fc00000, 0x100000};
  for (int i = 2; i < argc; i++) add_wrong(&wrong, strtoull(argv[i], NULL, 0));
  if (!strcmp(argv[1], "reserved")) fail_pages("reference", area, &wrong, 256);
  if (!strcmp(argv[1], "memfd")) fail_memfd(&wrong);
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


def texts(init: Path, *words: str) -> list[str]:
    """What it says of its failures."""
    done = subprocess.run([init, *words], capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("@khorig ")]
    events = [json.loads(line.removeprefix("@khorig ")) for line in lines]
    assert done.returncode == len(events) and all(event["ev"] == "fail" for event in events)
    return [f"{event['what']}: {event['text']}" for event in events]


def test_wrong_pages_have_their_numbers_and_addresses(init: Path) -> None:
    assert texts(init, "reserved", "5", "7") == [
        "reserve_mem: 2 of 256 pages lost their content: page 5 of memblock/reference at "
        "0x3fc05000, page 7 of memblock/reference at 0x3fc07000"
    ]
    assert texts(init, "memfd", "299") == [
        "liveupdate: 1 of 300 pages of the memfd lost their content: page 299"
    ]


def test_of_many_wrong_pages_the_first_are_named(init: Path) -> None:
    [text] = texts(init, "reserved", *map(str, range(200)))
    assert "200 of 256 pages" in text and text.count(" at 0x") == 4 and text.endswith("0x3fc03000")
    [text] = texts(init, "memfd", *map(str, range(300)))
    assert text.endswith("300 of 300 pages of the memfd lost their content: page 0, 1, 2, 3")


@pytest.mark.parametrize(
    "words", [(), ("debug",), ("no-cma", "force-dtb"), tuple(KEXEC_FLAGS)], ids=",".join
)
def test_flags_of_kexec_are_those_of_their_words(init: Path, words: tuple[str, ...]) -> None:
    line = f"quiet khorig.kexec={','.join(words)} ro"
    done = subprocess.run([init, "flags", line], capture_output=True, text=True, check=True)
    assert int(done.stdout, 16) == sum(KEXEC_FLAGS[word] for word in words)


def test_a_word_that_is_no_flag_is_named(init: Path) -> None:
    assert texts(init, "flags", "khorig.kexec=debug,none") == [
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
