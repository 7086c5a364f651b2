# SPDX-License-Identifier: BSD-3-Clause
"""What QEMU and UEFI firmware boot, of each architecture."""

load("//toolchain:efi.bzl", "fat_volume")
load("//toolchain:kernel.bzl", "kernel_archive", "kernel_image")
load("//toolchain:page_size.bzl", "DEFAULT_PAGE_SIZE")

_LOADERS = {
    "arm64": "BOOTAA64.EFI",
    "x86_64": "BOOTX64.EFI",
}

# The page sizes of each architecture.
_PAGE_SIZES = {
    "arm64": [
        "4k",
        "16k",
        "64k",
    ],
    "x86_64": ["4k"],
}

def kernel_stem(arch, page_size):
    """The name of an image: `khorig-arm64`, `khorig-arm64-16k`."""
    return "khorig-" + arch + ("" if page_size == DEFAULT_PAGE_SIZE else "-" + page_size)

def kernel_images(loader, ubsan = False):
    """Defines `<stem>`, `<stem>-archive` and `<stem>-esp` for each architecture and page size.

    Args:
      loader: the EFI loader's target, without the architecture at its end. Its pages are UEFI's.
      ubsan: whether the kernel has UndefinedBehaviorSanitizer in it.
    """
    for arch, name in _LOADERS.items():
        for page_size in _PAGE_SIZES[arch]:
            stem = kernel_stem(arch, page_size)
            kernel_image(
                name = stem,
                kernel = "//kernel",
                page_size = page_size,
                platform = "//toolchain/platforms:%s_none" % arch,
                ubsan = ubsan,
            )
            kernel_archive(
                name = stem + "-archive",
                image = ":" + stem,
                out = stem + ".cpio",
            )

            # What UEFI firmware starts: the loader where it looks for one, and what that loads.
            fat_volume(
                name = stem + "-esp",
                out = stem + ".esp",
                files = {
                    loader + arch: "EFI/BOOT/" + name,
                    ":" + stem: "EFI/BOOT/kernel",
                    ":%s-archive" % stem: "EFI/BOOT/archive.cpio",
                },
                suffixes = [
                    "bin",
                    "cpio",
                    "efi",
                ],
            )
