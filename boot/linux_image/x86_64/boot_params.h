// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

/// Linux's x86 boot protocol (Documentation/arch/x86/boot.rst and zero-page.rst): the
/// parameters that a loader passes to a kernel, and the header of a bzImage. Little-endian, packed.
/// Only the fields that khorig reads or writes have names.

namespace boot {

struct __attribute__((packed)) E820Entry {
  uint64_t address;
  uint64_t size;
  uint32_t type;
};
static_assert(sizeof(E820Entry) == 20);

/// At offset 0x1f1 both of a bzImage and of boot_params. The header of a bzImage ends at
/// 0x202 + `jump_offset`; a loader copies no more than that.
struct __attribute__((packed)) SetupHeader {
  uint8_t setup_sectors;  ///< 512-byte sectors after the boot sector; 0 means 4
  uint8_t unused1[12];
  uint16_t boot_flag;  ///< `kBootFlag`
  uint8_t jump;
  uint8_t jump_offset;
  uint32_t magic;  ///< `kSetupMagic`
  uint16_t version;
  uint8_t unused2[8];
  uint8_t loader_type;
  uint8_t load_flags;
  uint8_t unused3[6];
  uint32_t ramdisk_image;
  uint32_t ramdisk_size;
  uint8_t unused4[8];
  uint32_t command_line;
  uint32_t initrd_address_max;
  uint32_t kernel_alignment;
  uint8_t relocatable;
  uint8_t minimum_alignment;
  uint16_t extended_load_flags;
  uint32_t command_line_size;  ///< longest command line, without the final zero
  uint8_t unused5[20];
  uint64_t setup_data;  ///< physical address of the first `SetupData`, or 0
  uint64_t preferred_address;
  uint32_t init_size;  ///< memory the kernel needs from its load address on
  uint8_t unused6[44];
};
inline constexpr size_t kSetupHeaderOffset = 0x1f1;
static_assert(kSetupHeaderOffset + sizeof(SetupHeader) == 0x290);
static_assert(kSetupHeaderOffset + offsetof(SetupHeader, magic) == 0x202);
static_assert(kSetupHeaderOffset + offsetof(SetupHeader, loader_type) == 0x210);
static_assert(kSetupHeaderOffset + offsetof(SetupHeader, command_line) == 0x228);
static_assert(kSetupHeaderOffset + offsetof(SetupHeader, setup_data) == 0x250);
static_assert(kSetupHeaderOffset + offsetof(SetupHeader, init_size) == 0x260);

inline constexpr uint16_t kBootFlag = 0xaa55;
inline constexpr uint32_t kSetupMagic = 0x53726448;  // "HdrS"
inline constexpr uint8_t kLoadFlagHigh = 1;
inline constexpr uint16_t kExtendedFlag64Bit = 1 << 0;
inline constexpr uint16_t kExtendedFlagAbove4G = 1 << 1;
inline constexpr uint16_t kExtendedFlagFiveLevel = 1 << 5;
/// "No number assigned to this boot loader".
inline constexpr uint8_t kLoaderTypeUnassigned = 0xff;

/// What an EFI loader leaves. All zero when there was none.
struct __attribute__((packed)) EfiInfo {
  uint32_t loader_signature;  ///< `kEfiLoader64`
  uint32_t system_table;
  uint32_t descriptor_size;
  uint32_t descriptor_version;
  uint32_t memory_map;
  uint32_t memory_map_size;
  uint32_t system_table_high;
  uint32_t memory_map_high;
};
static_assert(sizeof(EfiInfo) == 32);
inline constexpr uint32_t kEfiLoader64 = 0x34364c45;  // "EL64"

/// The "zero page".
struct __attribute__((packed)) BootParams {
  static constexpr size_t kMaxE820Entries = 128;

  uint8_t unused1[0x70];
  uint64_t acpi_rsdp;
  uint8_t unused2[0xc0 - 0x78];
  uint32_t ramdisk_image_high;
  uint32_t ramdisk_size_high;
  uint32_t command_line_high;
  uint8_t unused3[0x1c0 - 0xcc];
  EfiInfo efi;
  uint8_t unused8[0x1e8 - 0x1e0];
  uint8_t e820_entries;
  uint8_t unused4[0x1ec - 0x1e9];
  uint8_t secure_boot;
  uint8_t unused9[0x1ef - 0x1ed];
  uint8_t sentinel;  ///< 0 from a loader that cleared what it did not fill in
  uint8_t unused5;
  SetupHeader header;
  uint8_t unused6[0x2d0 - 0x290];
  E820Entry e820[kMaxE820Entries];
  uint8_t unused7[0x1000 - 0xcd0];
};
static_assert(sizeof(BootParams) == 4096);
static_assert(offsetof(BootParams, header) == kSetupHeaderOffset);
static_assert(offsetof(BootParams, efi) == 0x1c0);
static_assert(offsetof(BootParams, secure_boot) == 0x1ec);
static_assert(offsetof(BootParams, e820) == 0x2d0);

/// A node of the list that `SetupHeader::setup_data` starts; `length` bytes follow.
struct SetupData {
  uint64_t next;
  uint32_t type;
  uint32_t length;
};
static_assert(sizeof(SetupData) == 16);

inline constexpr uint32_t kSetupDataE820 = 1;  ///< `E820Entry` after `E820Entry`
inline constexpr uint32_t kSetupDataEfi = 4;   ///< `EfiSetupData`
inline constexpr uint32_t kSetupDataIma = 8;   ///< `ImaData`
inline constexpr uint32_t kSetupDataSeed = 9;  ///< random numbers, for one kernel
inline constexpr uint32_t kSetupDataKho = 10;  ///< `KhoData`
inline constexpr uint32_t kSetupDataIndirect = uint32_t{1} << 31;  ///< `IndirectData`

/// What a Linux that has given UEFI virtual addresses leaves the next one (asm/efi.h).
struct EfiSetupData {
  uint64_t firmware_vendor;
  uint64_t unused;
  uint64_t tables;  ///< physical address of the configuration table
  uint64_t smbios;
  uint64_t reserved[8];
};
static_assert(sizeof(EfiSetupData) == 96);

/// A buffer of the previous kernel's with measurements.
struct ImaData {
  uint64_t address;
  uint64_t size;
};

/// A payload that lies elsewhere.
struct IndirectData {
  uint32_t type;
  uint32_t reserved;
  uint64_t length;
  uint64_t address;
};
static_assert(sizeof(IndirectData) == 24);

/// Where the previous kernel left its handover (include/uapi/asm/setup_data.h).
struct KhoData {
  uint64_t fdt_address;
  uint64_t fdt_size;
  uint64_t scratch_address;
  uint64_t scratch_size;
};
static_assert(sizeof(KhoData) == 32);

}  // namespace boot
