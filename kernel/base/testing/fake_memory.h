// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>
#include <string.h>

#include <string>
#include <vector>

#include "kernel/base/boot_reader.h"
#include "khocore/types.h"

namespace base {

/// Memory of a machine for tests of the boot protocols: `size` bytes from physical address `base`.
/// What lies outside cannot be read, as if it were no RAM.
class FakeMemory {
 public:
  FakeMemory(uint64_t base, size_t size) : base_(base), bytes_(size) {}

  template <typename T>
  void Put(uint64_t address, const T& object) {
    memcpy(bytes_.data() + (address - base_), &object, sizeof(object));
  }
  void PutString(uint64_t address, const std::string& text) {
    memcpy(bytes_.data() + (address - base_), text.c_str(), text.size() + 1);
  }
  void Fill(uint64_t address, size_t size, uint8_t value) {
    memset(bytes_.data() + (address - base_), value, size);
  }

  /// Calls `read(reader)` with a reader of this memory and collects what it is told to ignore.
  template <typename F>
  void With(F read) {
    notes_.clear();
    auto map = [this](khocore::PhysRange range) -> const void* {
      const khocore::PhysRange all{khocore::PhysAddr::FromRaw(base_), bytes_.size()};
      if (!all.Contains(range)) return nullptr;
      return bytes_.data() + (range.begin.raw() - base_);
    };
    auto note = [this](const char* text, uint64_t) { notes_.push_back(text); };
    read(BootReader(map, note));
  }

  /// What the last `With` was told to ignore.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  uint64_t base_;
  std::vector<uint8_t> bytes_;
  std::vector<std::string> notes_;
};

}  // namespace base
