// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "qemu/probe/control_block.h"

namespace probe {

/// Guest RAM as it is mapped in this process.
class Ram {
 public:
  /// `block` outlives the object.
  explicit Ram(const ControlBlock& block) : block_(block) {}

  /// Finds the mapping of the file `descriptor` in the lines of `maps` (/proc/self/maps). Returns
  /// whether there is one.
  bool Find(int descriptor, std::string_view maps);

  /// The same with this process's own mappings.
  bool Find(int descriptor);

  /// Tells where the file is mapped, for tests.
  void Map(uint8_t* begin, uint64_t size);

  /// The offset of a host address, nothing outside of RAM.
  std::optional<uint64_t> OffsetOf(const void* host) const;

  /// The offset of an address as QEMU's qemu_plugin_hwaddr_phys_addr reports it.
  std::optional<uint64_t> OffsetOfReported(uint64_t reported) const;

  /// The guest-physical address of an offset.
  std::optional<uint64_t> PhysicalOf(uint64_t offset) const;

  /// The live bytes at an offset. `offset` + `size` lies inside.
  const uint8_t* At(uint64_t offset) const { return begin_ + offset; }

  uint64_t size() const { return size_; }

 private:
  const ControlBlock& block_;
  uint8_t* begin_ = nullptr;  // where offset 0 is or would be
  uint64_t size_ = 0;
};

}  // namespace probe
