// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "kernel/base/boot_info.h"

/// The machine `host`: a Linux process whose RAM is a memory file at a fixed address, so that
/// physical addresses are virtual ones as everywhere else. Its kexec is execve(2) of its own
/// program: static data starts anew, RAM stays. It exists to run all of the kernel that is not one
/// architecture's under the sanitizers.

namespace host {

/// Where AddressSanitizer (HighMem) and ThreadSanitizer (HiApp) expect the memory of programs, and
/// far below what the system places there.
inline constexpr uint64_t kRamBase = 0x7ea000000000;
inline constexpr uint64_t kRamSize = uint64_t{192} << 20;
inline constexpr int kRamDescriptor = 9;  ///< inherited across execve

/// What a generation finds at the address it gets as its one argument.
struct Parameters {
  uint64_t magic;
  uint64_t kho_root;
  uint64_t scratch_address;
  uint64_t scratch_size;
  char command_line[base::BootInfo::kMaxCommandLine];
};
inline constexpr uint64_t kParametersMagic = 0x74736f682d6f686b;  // "kho-host"

/// The head of what this machine takes for a kernel image; there is nothing behind it to run.
struct Image {
  uint64_t magic;
  uint64_t memory_bytes;
  uint64_t initrd_window;  ///< whole pages, aligned to their size; 0 for anywhere
};
inline constexpr uint64_t kImageMagic = 0x656e72656b2d6f68;

/// How `execve` calls the next generation: the program and the parameters' address.
void SetProgram(const char* path);

}  // namespace host
