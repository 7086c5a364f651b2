// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/handover/page_reserve.h"

namespace handover {

using khocore::Error;
using khocore::ErrorCode;
using khocore::Ok;
using khocore::Order;
using khocore::PageFrame;
using khocore::Result;
using khocore::Status;

Status PageReserve::Fill(khocore::Tracker& tracker, size_t pages) {
  if (pages > kMaxPages - count_) {
    return Error{ErrorCode::kNoSpace, khocore::PhysAddr(), count_ + pages, kMaxPages};
  }
  for (; pages > 0; --pages) {
    const Result<PageFrame> page = source_.AllocatePage();
    if (!page.ok()) return page.error();
    pages_[count_++] = page.value();
    KHOCORE_RETURN_IF_ERROR(tracker.MakeRoom({page.value(), Order()}));
  }
  return Ok{};
}

void PageReserve::Empty() {
  while (count_ > 0) source_.FreePage(pages_[--count_]);
}

Result<PageFrame> PageReserve::AllocatePage() {
  if (count_ == 0) return Error{ErrorCode::kOutOfMemory};
  return pages_[--count_];
}

}  // namespace handover
