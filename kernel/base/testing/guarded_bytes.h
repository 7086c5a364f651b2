// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cstdlib>

namespace base {

/// Bytes of a test that end (but for the alignment of their start to 8) at a page nobody may touch,
/// so that a library without instrumentation is caught reading or writing behind them, too.
class GuardedBytes {
 public:
  explicit GuardedBytes(size_t size) : size_(size) {
    constexpr size_t kPage = 4096;
    const size_t usable = (size + kPage - 1) / kPage * kPage;
    mapped_ = usable + kPage;
    void* const map =
        mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) std::abort();
    map_ = static_cast<uint8_t*>(map);
    if (mprotect(map_ + usable, kPage, PROT_NONE) != 0) std::abort();
    data_ = map_ + (usable - size) / 8 * 8;
  }
  GuardedBytes(const void* bytes, size_t size) : GuardedBytes(size) {
    if (size != 0) memcpy(data_, bytes, size);
  }
  ~GuardedBytes() { munmap(map_, mapped_); }
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;

  uint8_t* data() { return data_; }
  size_t size() const { return size_; }

 private:
  size_t size_;
  size_t mapped_;
  uint8_t* map_;
  uint8_t* data_;
};

}  // namespace base
