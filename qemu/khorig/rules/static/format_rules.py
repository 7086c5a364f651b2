# SPDX-License-Identifier: BSD-3-Clause
"""Formats that are on Linux's lists and not yet in a release."""

from __future__ import annotations

from khorig.rules.rule import ANY, Rule

FORMAT_RULES = (
    Rule(
        "KHR-I200",
        "components of a composite version are in order",
        "Behind the name in `kho-v4;radix-v1;vmalloc-v1` each component is named once, in "
        "alphabetical order.",
        "A receiver compares the whole string: of another order it accepts nothing.",
        ("A1", "A7"),
        "The message has the string and the one that was expected.",
        ((ANY, "version-order"),),
    ),
    Rule(
        "KHR-I201",
        "preserved PCI devices are listed once, and as many as counted",
        "In `pci-v2` a slot is used once or not at all, no device has two slots, and `nr_devices` "
        "slots are used, at most `max_nr_devices`.",
        "The next kernel refuses the list when a device is there twice, and then assigns bus "
        "numbers and turns bus mastering off as if nothing had been preserved.",
        ("N17",),
        "The message names the device. A count that is off by one is an unpreserve that went "
        "half way.",
        (("pci", ANY),),
        needs="pci-v2",
    ),
    Rule(
        "KHR-I202",
        "huge pages are preserved in the number that is told",
        "`hugetlb-v1` has at most four sizes, each once, and the tracker has at least as many "
        "blocks of a size as it says.",
        "The next kernel allocates that many fewer at boot. Those that are not preserved are "
        "missing from its pool.",
        ("N10", "R15"),
        "Compare the count with `khorig inspect --owners`.",
        (("hugetlb", ANY),),
        needs="hugetlb-v1",
    ),
    Rule(
        "KHR-I203",
        "the list of poisoned pages is readable",
        "`hwpoison` has version 1, and its list as many page frames as counted, each once.",
        "The next kernel takes these pages out of use before it allocates any. Without the list "
        "it uses them.",
        ("N7", "S7"),
        "The message has both numbers.",
        (("hwpoison", ANY),),
        needs="hwpoison",
    ),
    Rule(
        "KHR-I204",
        "no poisoned page is in use",
        "None of the pages in `hwpoison` is preserved, a node of the tracker, or in scratch.",
        "A preserved page is read by its owner, and scratch by the next kernel from its first "
        "instruction on, long before it reads the list: a machine check.",
        ("N7",),
        "The address is that of the page, with its owner. Segments of the next kernel lie in "
        "scratch; they are not looked at one by one.",
        needs="hwpoison",
    ),
    Rule(
        "KHR-I205",
        "guest memory is complete, and of a virtual machine of its session",
        "Every folio of a `guest_memfd_luo_v1` starts a preserved block, for another page of the "
        "file and none past its end; its flags are known, and its token is that of a "
        "`kvm_vm_luo_v1`.",
        "A guest finds holes or foreign data in its memory, or its memory has no guest.",
        ("R14", "R15", "T7"),
        "The message names session and token.",
        (("guest-memfd", ANY),),
        needs="guest_memfd_luo_v1",
    ),
    Rule(
        "KHR-I206",
        "memory attributes of a virtual machine are readable",
        "The list of a `kvm_vm_luo_v1` has as many entries as counted, each for another frame.",
        "Private memory of the guest becomes shared, or the reverse.",
        ("R15", "S7"),
        "A posting of the series with another layout has no such list, and is not checked.",
        (("kvm", ANY),),
        needs="kvm_vm_luo_v1",
    ),
    Rule(
        "KHR-I207",
        "the log of pstore lies in its blob",
        "`pstore-kho` has version 1, and its record is no longer than the rest of the blob.",
        "The next kernel copies as many bytes as the record says, and reads what lies behind.",
        ("S7",),
        "The message has both sizes.",
        (("pstore", ANY),),
        needs="pstore-kho",
    ),
    Rule(
        "KHR-I208",
        "a mount of tmpfs and its files are complete",
        "Modes are such, flags are 0, a file has a name and a mount in its session, and each of "
        "its folios starts a preserved block, for another page of the file and none past its end.",
        "A file comes back in another mount, with holes, or with foreign data.",
        ("R14", "R15"),
        "The message names session and token.",
        (("tmpfs", ANY),),
        needs="tmpfs-mnt-v1",
    ),
    Rule(
        "KHR-I209",
        "the state of IOMMUs is a set of intact chains",
        "`iommu-liveupdate` has version 1, and its arrays are pages in RAM, each in one chain and "
        "reached once, with no more objects than fit.",
        "An IOMMU went on translating. That it cannot be restored is fatal to the next kernel.",
        ("N8", "Q10", "S5"),
        "The address is that of the array. Objects are not read, see docs/inspect.md.",
        (("iommu", ANY),),
        needs="iommu-liveupdate",
    ),
    Rule(
        "KHR-I210",
        "a memfd of huge pages is complete",
        "Each folio of a `huge-memfd-v1` is a preserved block of the order of the file, for "
        "another page of it and none past its end.",
        "The pool of huge pages gets folios of another size, or the file holes.",
        ("R14", "R15"),
        "The address is that of the folio.",
        (("huge-memfd", ANY),),
        needs="huge-memfd-v1",
    ),
)  # fmt: skip
