// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/handover/outgoing.h"

#include "khocore/abi/clients.h"
#include "khocore/fragment_writer.h"

namespace handover {

using khocore::Error;
using khocore::ErrorCode;
using khocore::Ok;
using khocore::PageFrame;
using khocore::PhysRange;
using khocore::Result;
using khocore::Status;
using khocore::Tracker;

Status Outgoing::Begin(khocore::PageSource& nodes, size_t final_pages) {
  const Result<Tracker> tracker = Tracker::Create(physical(), nodes);
  if (!tracker.ok()) return tracker.error();
  tracker_ = tracker.value();
  return reserve_.Fill(tracker_, final_pages);
}

Status Outgoing::Open() {
  const auto root = khocore::Outgoing::Create(physical(), reserve_, tracker_);
  if (!root.ok()) return root.error();
  root_ = root.value();
  return Ok{};
}

Status Outgoing::AddLink(const char* name, PhysRange data) {
  if (link_count_ == kMaxLinks) return Error{ErrorCode::kNoSpace, data.begin, link_count_};
  links_[link_count_++] = {name, data};
  return Ok{};
}

Status Outgoing::KeepDevice(arch::PciFunction function) {
  if (kept_count_ == kMaxKept) return Error{ErrorCode::kNoSpace, {}, kept_count_};
  kept_[kept_count_++] = function;
  return Ok{};
}

Status Outgoing::Close() {
  if (link_count_ != 0) {
    khocore::FragmentWriter top(physical(), reserve_, tracker_, khocore::abi::kKhorigCompatible);
    for (size_t i = 0; i < link_count_; ++i) {
      (void)top.Link(links_[i].name, links_[i].data.begin, links_[i].data.size);
    }
    const Result<PageFrame> page = top.Close();
    if (!page.ok()) return page.error();
    KHOCORE_RETURN_IF_ERROR(
        AddClient(khocore::abi::kKhorigClient, {page.value().address(), khocore::kPageSize}));
  }
  reserve_.Empty();
  return Ok{};
}

}  // namespace handover
