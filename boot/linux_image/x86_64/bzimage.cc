// SPDX-License-Identifier: BSD-3-Clause
#include "boot/linux_image/x86_64/bzimage.h"

#include <string.h>

#include "boot/linux_image/x86_64/boot_params.h"

namespace boot {

using kexec::ImageHeader;

namespace {

constexpr size_t kSectorBytes = 512;
constexpr size_t kMinimumFile = 2 * kSectorBytes;
constexpr uint8_t kDefaultSetupSectors = 4;
constexpr uint16_t kMinimumVersion = 0x20c;  ///< the first with extended_load_flags
constexpr uint64_t kEntryOffset = 0x200;
constexpr uint64_t kMinimumAddress = 1 << 20;

/// What is wrong with the header, or null.
const char* HeaderFault(const SetupHeader& setup, unsigned paging_levels) {
  if (setup.magic != kSetupMagic) return "no HdrS at 0x202";
  if (setup.boot_flag != kBootFlag) return "no 0xaa55 at 0x1fe";
  if (setup.version < kMinimumVersion) return "boot protocol older than 2.12";
  if ((setup.load_flags & kLoadFlagHigh) == 0) return "not to be loaded above 1 MiB";
  if ((setup.extended_load_flags & kExtendedFlag64Bit) == 0) return "no 64-bit entry";
  if ((setup.extended_load_flags & kExtendedFlagAbove4G) == 0) return "not loadable above 4 GiB";
  if (paging_levels == 5 && (setup.extended_load_flags & kExtendedFlagFiveLevel) == 0) {
    return "not made for five-level paging, which is on";
  }
  if (setup.relocatable == 0) return "not relocatable";
  const uint32_t alignment = setup.kernel_alignment;
  if ((alignment & (alignment - 1)) != 0) return "kernel_alignment is no power of two";
  if (alignment < khocore::kPageSize) return "kernel_alignment is less than a page";
  return nullptr;
}

}  // namespace

bool ParseBzImage(khocore::Span<const uint8_t> file, unsigned paging_levels, ImageHeader* header,
                  const char** why) {
  if (file.size < kMinimumFile) {
    *why = "shorter than 1 KiB";
    return false;
  }
  SetupHeader setup;
  memcpy(&setup, file.data + kSetupHeaderOffset, sizeof(setup));
  *why = HeaderFault(setup, paging_levels);
  if (*why != nullptr) return false;

  const uint8_t sectors = setup.setup_sectors != 0 ? setup.setup_sectors : kDefaultSetupSectors;
  const size_t payload_offset = (sectors + size_t{1}) * kSectorBytes;
  if (file.size <= payload_offset + kEntryOffset) {
    *why = "ends before its 64-bit entry";
    return false;
  }
  const uint64_t payload_bytes = file.size - payload_offset;
  if (setup.init_size < payload_bytes) {
    *why = "init_size is less than the payload";
    return false;
  }
  header->payload_offset = payload_offset;
  header->payload_bytes = payload_bytes;
  header->memory_bytes = setup.init_size;
  header->alignment = setup.kernel_alignment;
  header->minimum_address =
      setup.preferred_address > kMinimumAddress ? setup.preferred_address : kMinimumAddress;
  header->entry_offset = kEntryOffset;
  return true;
}

}  // namespace boot
