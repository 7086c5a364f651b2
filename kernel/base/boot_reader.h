// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/base/boot_info.h"
#include "khocore/function_ref.h"
#include "khocore/types.h"

namespace base {

/// How the boot protocols read what firmware or another kernel left in memory, all of it untrusted.
class BootReader {
 public:
  /// Returns the bytes of a range, or null when it cannot be read.
  using Map = khocore::FunctionRef<const void*(khocore::PhysRange)>;
  /// Reports what was ignored, and the address or number that was wrong.
  using Note = khocore::FunctionRef<void(const char* text, uint64_t value)>;

  BootReader(Map map, Note note) : map_(map), note_(note) {}

  /// Copies an object out of memory, where it may be unaligned. False when it cannot be read.
  template <typename T>
  bool Read(uint64_t address, T* object) const {
    const void* bytes = Find(address, sizeof(T));
    if (bytes == nullptr) return false;
    __builtin_memcpy(object, bytes, sizeof(T));
    return true;
  }
  const void* Find(uint64_t address, uint64_t size) const {
    return map_(khocore::PhysRange{khocore::PhysAddr::FromRaw(address), size});
  }
  void Ignore(const char* text, uint64_t value) const { note_(text, value); }

 private:
  Map map_;
  Note note_;
};

/// Appends a region, or counts it as dropped; those of size 0 are skipped.
void AddRegion(BootInfo* info, uint64_t begin, uint64_t size, uint32_t type);

/// Turns what is RAM in `range` into regions of another type. Pieces that find no room are counted
/// as dropped.
void Reserve(BootInfo* info, khocore::PhysRange range, MemoryType type);

/// Whether every byte of `range` lies in RAM as `info` describes it so far.
bool CoveredByRam(const BootInfo& info, khocore::PhysRange range);

/// Adds the pages of `range` to what must stay, merged with what is next to it. Ranges that are
/// empty or wrap are skipped. False when there is no room.
[[nodiscard]] bool Keep(BootInfo* info, khocore::PhysRange range);
/// The same; reports to `reader` when there is no room.
void Keep(BootInfo* info, khocore::PhysRange range, const BootReader& reader);

/// Reads the terminated string at `address` as the command line.
void ReadCommandLine(BootInfo* info, uint64_t address, const BootReader& reader);

}  // namespace base
