// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "qemu/probe/control_block.h"

namespace probe {

/// Guest RAM as it is mapped in this process: one file, or one for each NUMA node.
class Ram {
 public:
  /// `block` outlives the object.
  explicit Ram(const ControlBlock& block) : block_(block) {}

  /// Finds the mapping of the file `descriptor` in the lines of `maps` (/proc/self/maps). Its first
  /// byte has the offset behind the last byte of the file found before. Returns whether there is
  /// one.
  bool Find(int descriptor, std::string_view maps);

  /// The same for each of `descriptors`, with this process's own mappings.
  bool Find(std::span<const int> descriptors);

  /// Tells where a file is mapped, for tests.
  void Map(uint8_t* begin, uint64_t size);

  /// The offset of a host address, nothing outside of RAM.
  std::optional<uint64_t> OffsetOf(const void* host) const;

  /// The offset of an address as QEMU's qemu_plugin_hwaddr_phys_addr reports it.
  std::optional<uint64_t> OffsetOfReported(uint64_t reported) const;

  /// The guest-physical address of an offset.
  std::optional<uint64_t> PhysicalOf(uint64_t offset) const;

  /// The live bytes at an offset below `size()`, as far as the file that has it.
  const uint8_t* At(uint64_t offset) const;

  /// Bytes of all files.
  uint64_t size() const { return size_; }

 private:
  struct Mapped {
    uint8_t* begin;
    uint64_t offset;
    uint64_t size;
  };

  const ControlBlock& block_;
  Mapped files_[kMaxFiles] = {};
  size_t count_ = 0;
  uint64_t size_ = 0;
};

}  // namespace probe
