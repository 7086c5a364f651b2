// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/runtime_services.h"

#include <string.h>

#include "kernel/arch/mmu.h"
#include "kernel/base/direct_map.h"
#include "kernel/base/hash.h"
#include "kernel/rig/event.h"
#include "kernel/rig/require.h"
#include "khocore/fragment_reader.h"
#include "khocore/fragment_writer.h"

namespace clients {
namespace {

using khocore::Error;
using khocore::ErrorCode;
using khocore::FragmentReader;
using khocore::FragmentWriter;
using khocore::Ok;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Result;
using khocore::Span;
using khocore::Status;
using khocore::abi::RuntimeRegion;
namespace abi = khocore::abi;

constexpr char kNode[] = "runtime-services";
constexpr char kProperty[] = "regions";

PhysRange RangeOf(const RuntimeRegion& region) {
  return {PhysAddr::FromRaw(region.begin), region.size};
}

/// Mapped here, because nothing else reads this memory.
uint64_t HashOf(PhysRange range) {
  rig::Require(arch::MapRam(range), "runtime-services");
  return base::Hash(base::Direct<void>(range.begin), range.size);
}

bool IsRuntime(const base::MemoryRegion& region) {
  return region.type == base::MemoryType::kRuntimeServices;
}

bool MapHas(const base::BootInfo& info, PhysRange range) {
  for (size_t i = 0; i < info.region_count; ++i) {
    if (IsRuntime(info.regions[i]) && info.regions[i].range == range) return true;
  }
  return false;
}

}  // namespace

void RuntimeServices::Record(const handover::Generation& generation) {
  const base::BootInfo& info = generation.info;
  for (size_t i = 0; i < info.region_count; ++i) {
    if (!IsRuntime(info.regions[i])) continue;
    const PhysRange range = info.regions[i].range;
    if (count_ == kMaxRegions) {
      KHORIG_FAIL(kNode, "more than %lu regions; 0x%lx is not watched", kMaxRegions,
                  range.begin.raw());
      break;
    }
    regions_[count_++] = {range.begin.raw(), range.size, HashOf(range)};
  }
  Report();
}

Status RuntimeServices::Restore(handover::Incoming& incoming) {
  const Result<PhysRange> link = incoming.FindLink(kNode);
  if (!link.ok()) return link.error().code == ErrorCode::kNotFound ? Status(Ok{}) : link.error();
  const Result<FragmentReader> fragment =
      incoming.RestoreFragment(link.value(), abi::kRuntimeServicesCompatible);
  if (!fragment.ok()) return fragment.error();
  const Result<Span<const uint8_t>> bytes =
      fragment.value().Property(fragment.value().root(), kProperty);
  if (!bytes.ok()) return bytes.error();
  if (bytes.value().size % sizeof(RuntimeRegion) != 0 || bytes.value().size > sizeof(regions_)) {
    return Error{ErrorCode::kPropertySize, link.value().begin, bytes.value().size};
  }
  memcpy(regions_, bytes.value().data, bytes.value().size);
  count_ = bytes.value().size / sizeof(RuntimeRegion);
  return Ok{};
}

void RuntimeServices::Verify(const handover::Incoming& incoming) const {
  for (size_t i = 0; i < count_; ++i) {
    const RuntimeRegion& region = regions_[i];
    if (!MapHas(incoming.generation().info, RangeOf(region))) {
      KHORIG_FAIL(kNode, "the memory map has lost the region 0x%lx with 0x%lx bytes", region.begin,
                  region.size);
      continue;
    }
    const uint64_t found = HashOf(RangeOf(region));
    if (found != region.hash) {
      KHORIG_FAIL(kNode,
                  "the region 0x%lx with 0x%lx bytes was written to: hash %016lx, was %016lx",
                  region.begin, region.size, found, region.hash);
    }
  }
  Report();
}

Status RuntimeServices::Serialize(handover::Outgoing& outgoing) const {
  if (count_ == 0) return Ok{};
  FragmentWriter fragment(outgoing.physical(), outgoing.final_pages(), outgoing.tracker(),
                          abi::kRuntimeServicesCompatible);
  const Status written = fragment.Property(
      kProperty, {reinterpret_cast<const uint8_t*>(regions_), count_ * sizeof(RuntimeRegion)});
  if (!written.ok()) return written;
  const Result<PageFrame> page = fragment.Close();
  if (!page.ok()) return page.error();
  return outgoing.AddLink(kNode, {page.value().address(), khocore::kPageSize});
}

void RuntimeServices::Report() const {
  if (count_ == 0) return;
  rig::Event event("firmware");
  event.Begin("runtime", '[');
  for (size_t i = 0; i < count_; ++i) {
    event.ItemBegin('[').Item(regions_[i].begin).Item(regions_[i].size).End(']');
  }
  event.End(']');
}

}  // namespace clients
