// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "kernel/base/boot_info.h"
#include "khocore/result.h"
#include "khocore/types.h"

/// Linux's boot protocol as the loader of a next kernel needs it. boot/linux_image/ implements it
/// for each architecture, beside what reads the same structures at the entry.

namespace kexec {

/// What the header of a kernel image (bzImage, Image) asks for. See `ReadImageHeader`.
struct ImageHeader {
  uint64_t payload_offset;  ///< where in the file the loaded part starts
  uint64_t payload_bytes;
  uint64_t memory_bytes;  ///< with zero-initialized data and work space
  uint64_t alignment;     ///< of the load address, a power of two
  uint64_t minimum_address;
  uint64_t entry_offset;  ///< of the entry from the load address
  /// The initrd lies wholly in this many bytes from the multiple of `initrd_window_alignment` at or
  /// below the load address on; 0 for anywhere.
  uint64_t initrd_window = 0;
  uint64_t initrd_window_alignment = 1;
  unsigned page_shift = 0;  ///< of the kernel's pages; 0 when the header does not say
};
/// Reads and checks the header of the image in `file`, untrusted bytes. Returns false with
/// the reason in `*why` ("no HdrS at 0x202", ...).
bool ReadImageHeader(khocore::Span<const uint8_t> file, ImageHeader* header, const char** why);

/// What goes into the boot parameters of the next kernel.
struct NextBoot {
  const base::BootInfo* info;               ///< this kernel's machine, passed on
  khocore::Span<const uint8_t> image_file;  ///< x86 copies its setup header from here
  const char* command_line;
  khocore::PhysRange initrd;  ///< where it will lie, or empty
  khocore::PhysAddr kho_root;
  khocore::Span<const khocore::PhysRange> scratch;  ///< the areas, for the array
};

/// Bytes that `BuildParameters` needs at most for this boot.
uint64_t ParametersSize(const NextBoot& next);
/// Alignment of the parameters' destination (a page, or what the device tree needs).
extern const uint64_t kParametersAlignment;
/// Writes boot_params, setup_data, command line and scratch array (x86_64) or the device tree and
/// scratch array (arm64) for the next kernel into `buffer`, for use at `destination`.
/// Errors: `kNoSpace`, `kFdtStructure`.
khocore::Status BuildParameters(const NextBoot& next, khocore::Span<uint8_t> buffer,
                                khocore::PhysAddr destination);

/// How wide Linux's csum_partial folds a buffer's sum before it adds the sum of those before: 32 or
/// 16 bits.
extern const unsigned kLinuxChecksumBits;

}  // namespace kexec
