# SPDX-License-Identifier: BSD-3-Clause
"""Files that hold no memory that can be read here, by their magic, and what to do with each."""

from __future__ import annotations

from dataclasses import dataclass

HEAD = 64 << 10  # bytes of a file that `foreign` looks at, at most

_DISK = "a disk image, not memory; take a dump with QEMU's dump-guest-memory or `virsh dump`"
_KERNEL = "a kernel, not a dump of memory"
_ARCHIVE = "an archive; extract the dump from it first"
_FILES = "a file system, not memory; mount it and take the dump out of it"
_ELSEWHERE = "convert it to an ELF core"
_UNPACK = "unpack it first"


@dataclass(frozen=True)
class Magic:
    """Bytes at an offset, and what a file that has them is."""

    offset: int
    bytes: bytes
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.what}: {self.advice}"


# The first that a file has counts: kernels, which are PE files, too, come before PE.
MAGICS = (
    # Memory in forms that other tools read.
    Magic(0, b"QEVM", "QEMU migration stream (savevm, migrate)",
          "load it with -incoming, then take a dump with dump-guest-memory"),
    Magic(0, b"LibvirtQemudSave", "libvirt saved domain",
          "restore it, then `virsh dump --memory-only`"),
    Magic(0, b"LibvirtQemudPart", "libvirt saved domain that was not finished",
          "take a dump with `virsh dump --memory-only`"),
    Magic(0, b"AVML", "AVML image of version 2, compressed with snappy",
          "`avml-convert` makes an image of it that can be read"),
    Magic(0, b"DISKDUMP", "diskdump of Red Hat Enterprise Linux 3 or 4", _ELSEWHERE),
    Magic(0, b"\xed\x23\x8f\x61\x73\x01\x19\xa8", "LKCD dump", _ELSEWHERE),
    Magic(0, b"\xa8\x19\x01\x73\x61\x8f\x23\xed", "LKCD dump, big-endian", _ELSEWHERE),
    Magic(0, b"\xa8\x19\x01\x73\x61\x8f\x23\xfd", "s390 dump",
          "only x86_64 and arm64 can be read"),
    Magic(0, b"sadump\0\0", "sadump file", "`makedumpfile -l` makes a kdump file of it"),
    Magic(0, b"PAGEDU64", "Windows crash dump", "there is no Linux in it"),
    Magic(0, b"PAGEDUMP", "Windows crash dump", "there is no Linux in it"),
    Magic(0, b"MDMP", "Windows minidump", "there is no Linux in it"),
    Magic(0, b"HIBR", "Windows hibernation file", "there is no Linux in it"),
    Magic(0, b"\xd2\xbe\xd2\xbe", "VMware snapshot state", "`vmss2core -N6` makes a core of it"),
    Magic(0, b"\xd0\xbe\xd2\xbe", "VMware suspend state", "`vmss2core -N6` makes a core of it"),
    Magic(0, b"\xd1\xba\xd1\xba", "VMware suspend state", "`vmss2core -N6` makes a core of it"),
    Magic(0, b"\x7fVirtualBox SavedState", "VirtualBox saved state",
          "`VBoxManage debugvm VM dumpvmcore` makes an ELF core"),
    Magic(0, b"LinuxGuestRecord", "Xen saved domain", "`xl dump-core` makes a core"),
    Magic(0, b"Xen saved domain", "Xen saved domain", "`xl dump-core` makes a core"),
    Magic(0xFF6, b"S1SUSPEND", "swap area with a hibernated Linux",
          "resume it, or take a dump of the running machine"),
    Magic(0xFF6, b"SWAPSPACE2", "swap area", "it holds no memory by address"),
    # Disks and file systems.
    Magic(0, b"QFI\xfb", "qcow2 image", _DISK),
    Magic(0, b"QED\0", "QED image", _DISK),
    Magic(0, b"KDMV", "VMDK image", _DISK),
    Magic(0, b"COWD", "VMDK image", _DISK),
    Magic(0, b"# Disk DescriptorFile", "VMDK descriptor", _DISK),
    Magic(0, b"vhdxfile", "VHDX image", _DISK),
    Magic(0, b"conectix", "VHD image", _DISK),
    Magic(0x40, b"\x7f\x10\xda\xbe", "VDI image", _DISK),
    Magic(0x200, b"EFI PART", "disk with a GPT", _DISK),
    Magic(0, b"hsqs", "squashfs", _FILES),
    Magic(0, b"XFSB", "XFS", _FILES),
    Magic(0x400, b"\xe2\xe1\xf5\xe0", "EROFS", _FILES),
    Magic(0x8001, b"CD001", "ISO 9660", _FILES),
    # Kernels and programs.
    Magic(0x202, b"HdrS", "Linux bzImage for x86", _KERNEL),
    Magic(56, b"ARM\x64", "Linux Image for arm64", _KERNEL),
    Magic(4, b"zimg", "compressed EFI image of Linux", _KERNEL),
    Magic(0, b"\x27\x05\x19\x56", "U-Boot image", _KERNEL),
    Magic(0, b"ANDROID!", "Android boot image", _KERNEL),
    Magic(0, b"MZ", "PE file (EFI or Windows program)", "not a dump of memory"),
    Magic(0, b"\xcf\xfa\xed\xfe", "Mach-O file", "not a dump of Linux's memory"),
    Magic(0, b"!<arch>\n", "ar archive or Debian package", _ARCHIVE),
    Magic(0, b"\xed\xab\xee\xdb", "RPM package", _ARCHIVE),
    # Archives, and compression that cannot be looked into.
    Magic(0, b"070701", "cpio archive (an initrd?)", _ARCHIVE),
    Magic(0, b"070702", "cpio archive (an initrd?)", _ARCHIVE),
    Magic(0, b"070707", "cpio archive (an initrd?)", _ARCHIVE),
    Magic(0, b"\xc7\x71", "cpio archive (an initrd?)", _ARCHIVE),
    Magic(257, b"ustar", "tar archive", _ARCHIVE),
    Magic(0, b"PK\3\4", "zip archive", _ARCHIVE),
    Magic(0, b"7z\xbc\xaf\x27\x1c", "7z archive", _ARCHIVE),
    Magic(0, b"Rar!\x1a\7", "RAR archive", _ARCHIVE),
    Magic(0, b"\xff\6\0\0sNaPpY", "snappy stream", _UNPACK),
    Magic(0, b"\x89LZO\0\r\n\x1a\n", "lzop file", "unpack it with `lzop -d`"),
    Magic(0, b"\2\x21\x4c\x18", "lz4 file of the legacy format", "unpack it with `lz4 -d`"),
    Magic(0, b"LZIP", "lzip file", "unpack it with `lzip -d`"),
    Magic(0, b"\x5d\0\0", "LZMA file", "unpack it with `xz -d --format=lzma`"),
    Magic(0, b"\x1f\x9d", "compress file", "unpack it with `gzip -d`"),
    # Others that lie beside dumps.
    Magic(0, b"PERFILE2", "perf data", "not a dump of memory"),
    Magic(0, b"SQLite format 3\0", "SQLite database", "not a dump of memory"),
    Magic(0, b"%PDF", "PDF document", "not a dump of memory"),
    Magic(0, b"\x89PNG\r\n", "PNG image", "not a dump of memory"),
    Magic(0, b"version https://git-lfs", "Git LFS pointer", "fetch the file with `git lfs pull`"),
)  # fmt: skip

_DEVICE_TREE = b"\xd0\x0d\xfe\xed"
_TEXT_BYTES = frozenset(b"\t\n\r\f\x1b")
_TEXT_HEAD = 4096
_PAGE = 4096


def foreign(head: bytes, size: int) -> str | None:
    """What a file is, in one line, that is neither a dump nor may be an image of RAM: `head` is its
    first HEAD bytes and `size` how many it has. None when nothing tells that it is something
    else than RAM."""
    for magic in MAGICS:
        if head.startswith(magic.bytes, magic.offset):
            return str(magic)
    if head.startswith(_DEVICE_TREE) and int.from_bytes(head[4:8], "big") == size:
        return "device tree blob: not a dump of memory"
    if text := _text(head[:_TEXT_HEAD]):
        return text
    if size % _PAGE:
        return f"unknown format: no known magic, and {size} bytes are not whole pages of RAM"
    return None


def _text(head: bytes) -> str | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text in UTF-16: not a dump of memory"
    if any(byte < 0x20 and byte not in _TEXT_BYTES or byte == 0x7F for byte in head):
        return None
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # the head may end inside a character
            return None
        text = head[: error.start].decode()
    if text.lstrip().lower().startswith(("<!doctype", "<html", "<?xml")):
        return "HTML or XML: not a dump of memory"
    return "text: not a dump of memory (the log of one, such as vmcore-dmesg.txt?)"
