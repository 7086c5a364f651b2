// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/arch/spin_lock.h"
#include "kernel/memory/page_allocator.h"
#include "khocore/page_source.h"

namespace memory {

/// The page allocator while several CPUs use it.
struct SharedAllocator {
  explicit SharedAllocator(PageAllocator& all_pages) : allocator(all_pages) {}

  PageAllocator& allocator;
  arch::SpinLock lock;
};

/// The pages of one CPU, refilled and drained in batches, the only time it takes the shared
/// lock. Drains on destruction.
class PageCache final : public khocore::PageSource {
 public:
  static constexpr size_t kBatch = 32;

  explicit PageCache(SharedAllocator& shared) : shared_(shared) {}
  ~PageCache() { GiveBack(count_); }
  PageCache(const PageCache&) = delete;
  PageCache& operator=(const PageCache&) = delete;

  khocore::Result<khocore::PageFrame> AllocatePage() override;
  void FreePage(khocore::PageFrame page) override;

 private:
  /// The error of the allocator when it has no page at all.
  khocore::Status Fill();
  void GiveBack(size_t pages);

  SharedAllocator& shared_;
  khocore::PageFrame pages_[2 * kBatch];
  size_t count_ = 0;
};

}  // namespace memory
