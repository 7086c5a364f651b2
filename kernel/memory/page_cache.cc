// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/memory/page_cache.h"

#include <string.h>

#include "kernel/memory/memory.h"

namespace memory {

using arch::SpinGuard;
using base::Direct;
using khocore::Ok;
using khocore::Order;
using khocore::PageFrame;
using khocore::Result;
using khocore::Status;

Result<PageFrame> PageCache::AllocatePage() {
  if (count_ == 0) KHOCORE_RETURN_IF_ERROR(Fill());
  const PageFrame page = pages_[--count_];
  memset(Direct<void>(page.address()), 0, khocore::kPageSize);
  return page;
}

void PageCache::FreePage(PageFrame page) {
  if (count_ == 2 * kBatch) GiveBack(kBatch);
  pages_[count_++] = page;
}

Status PageCache::Fill() {
  const SpinGuard guard(shared_.lock);
  while (count_ < kBatch) {
    const Result<PageFrame> page = shared_.allocator.Allocate(Order());
    if (!page.ok()) {
      if (count_ == 0) return page.error();
      break;
    }
    pages_[count_++] = page.value();
  }
  return Ok{};
}

void PageCache::GiveBack(size_t pages) {
  if (pages == 0) return;
  const SpinGuard guard(shared_.lock);
  for (size_t i = 0; i < pages; ++i) shared_.allocator.FreePage(pages_[--count_]);
}

}  // namespace memory
