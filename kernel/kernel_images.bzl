# SPDX-License-Identifier: BSD-3-Clause
"""What QEMU and UEFI firmware boot, of each architecture."""

load("//toolchain:efi.bzl", "fat_volume")
load("//toolchain:kernel.bzl", "kernel_archive", "kernel_image")

_LOADERS = {
    "arm64": "BOOTAA64.EFI",
    "x86_64": "BOOTX64.EFI",
}

def kernel_images(loader, ubsan = False):
    """Defines `khorig-<arch>`, `khorig-<arch>-archive` and `khorig-<arch>-esp`.

    Args:
      loader: the EFI loader's target, without the architecture at its end.
      ubsan: whether the kernel has UndefinedBehaviorSanitizer in it.
    """
    for arch, name in _LOADERS.items():
        kernel_image(
            name = "khorig-" + arch,
            kernel = "//kernel",
            platform = "//toolchain/platforms:%s_none" % arch,
            ubsan = ubsan,
        )
        kernel_archive(
            name = "khorig-%s-archive" % arch,
            image = ":khorig-" + arch,
            out = "khorig-%s.cpio" % arch,
        )

        # What UEFI firmware starts: the loader where it looks for one, and what that loads.
        fat_volume(
            name = "khorig-%s-esp" % arch,
            out = "khorig-%s.esp" % arch,
            files = {
                loader + arch: "EFI/BOOT/" + name,
                ":khorig-" + arch: "EFI/BOOT/kernel",
                ":khorig-%s-archive" % arch: "EFI/BOOT/archive.cpio",
            },
            suffixes = [
                "bin",
                "cpio",
                "efi",
            ],
        )
