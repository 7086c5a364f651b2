// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Linux's boot protocol on arm64 is a device tree with an image header in front
/// (Documentation/arch/arm64/booting.rst). What reads, writes and hands on such a tree shares these
/// names.

namespace boot {

/// `compatible` of a reserved range that belongs to UEFI's runtime services.
inline constexpr char kRuntimeServicesCompatible[] = "khorig,efi-runtime-services";
/// The property of /chosen by which Linux and khorig know that an EFI loader started them.
inline constexpr char kEfiSystemTable[] = "linux,uefi-system-table";
/// The firmware's memory map.
inline constexpr char kEfiMapStart[] = "linux,uefi-mmap-start";
inline constexpr char kEfiMapSize[] = "linux,uefi-mmap-size";
inline constexpr char kEfiDescriptorSize[] = "linux,uefi-mmap-desc-size";
inline constexpr char kEfiDescriptorVersion[] = "linux,uefi-mmap-desc-ver";

}  // namespace boot
