// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/memory/scratch_layout.h"

#include "kernel/arch/cpu.h"
#include "kernel/base/format.h"
#include "kernel/rig/event.h"
#include "khocore/abi/scratch.h"

namespace memory {
namespace {

using base::RegionSet;
using khocore::PhysAddr;
using khocore::PhysRange;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr PhysAddr kLowLimit = PhysAddr::FromRaw(uint64_t{4} << 30);
constexpr PhysAddr kNoLimit = PhysAddr::FromRaw(~uint64_t{0});

uint64_t DefaultSize(uint64_t ram_bytes, bool low) {
  const uint64_t share = ram_bytes / (low ? 16 : 32);
  const uint64_t least = (low ? 8 : 4) * kMiB;
  const uint64_t most = (low ? 64 : 32) * kMiB;
  return share < least ? least : share > most ? most : share;
}

/// Bytes of `set` in `range`.
uint64_t BytesIn(const RegionSet& set, PhysRange range) {
  uint64_t bytes = 0;
  for (const PhysRange& part : set) {
    if (!part.Overlaps(range)) continue;
    const PhysAddr begin = part.begin < range.begin ? range.begin : part.begin;
    const PhysAddr end = range.end() < part.end() ? range.end() : part.end();
    bytes += end - begin;
  }
  return bytes;
}

class Layout {
 public:
  Layout(const ScratchRequest& request, khocore::Scratch* scratch)
      : request_(request), scratch_(scratch), ram_bytes_(request.allowed->bytes()) {}

  void AddLow() {
    const uint64_t size = SizeOf(0, ram_bytes_);
    PhysAddr place = Find(size, kLowLimit);
    if (place.is_null()) place = Find(size, kNoLimit);  // a machine may have no low memory at all
    Take("low", {place, size});
  }

  void AddGlobal() {
    const uint64_t size = SizeOf(1, ram_bytes_);
    Take("global", {Find(size, kNoLimit), size});
  }

  void AddNodes() {
    uint32_t next = 0;
    for (uint32_t node; NextNode(next, &node); next = node + 1) {
      uint64_t bytes = 0;
      ForEachPartOf(node, [&](PhysRange part) { bytes += BytesIn(*request_.allowed, part); });
      if (bytes == 0) continue;
      const uint64_t size = SizeOf(2, bytes);
      PhysAddr place;
      ForEachPartOf(node, [&](PhysRange part) {
        if (place.is_null()) place = FindIn(part, size, kNoLimit);
      });
      char name[24];
      base::FormatTo(name, sizeof(name), "node %u", node);
      Take(name, {place, size});
      if (node == ~uint32_t{0}) return;
    }
  }

 private:
  uint64_t SizeOf(int area, uint64_t ram_bytes) const {
    uint64_t size = request_.options.scratch_sizes[area];
    if (size == 0) size = DefaultSize(ram_bytes, area == 0);
    return khocore::AlignUp(size, khocore::abi::kScratchAlignment);
  }

  /// The least node number from `from` on. False when there is none.
  bool NextNode(uint32_t from, uint32_t* found) const {
    bool any = false;
    request_.nodes.ForEachPart([&](PhysRange, uint32_t node) {
      if (node < from || (any && *found <= node)) return;
      *found = node;
      any = true;
    });
    return any;
  }

  template <typename Visit>
  void ForEachPartOf(uint32_t wanted, Visit visit) const {
    request_.nodes.ForEachPart([&](PhysRange part, uint32_t node) {
      if (node == wanted) visit(part);
    });
  }

  PhysAddr FindIn(PhysRange part, uint64_t size, PhysAddr limit) const {
    const PhysAddr first = PhysAddr::FromRaw(arch::kFirstUsable);
    return request_.allowed->FindHole(size, khocore::abi::kScratchAlignment, request_.used,
                                      part.begin < first ? first : part.begin,
                                      part.end() < limit ? part.end() : limit);
  }

  PhysAddr Find(uint64_t size, PhysAddr limit) const {
    PhysAddr place;
    request_.nodes.ForEachPart([&](PhysRange part, uint32_t) {
      if (place.is_null()) place = FindIn(part, size, limit);
    });
    return place;
  }

  void Take(const char* name, PhysRange area) {
    if (area.begin.is_null() || !scratch_->Add(area).ok()) {
      rig::EndWithError(rig::RequestError::kNoMemory, "no-memory",
                        "no room for the %s scratch area: %lu MiB in one piece of %lu MiB RAM",
                        name, area.size / kMiB, ram_bytes_ / kMiB);
    }
    (void)request_.allowed->Remove(area);
  }

  const ScratchRequest& request_;
  khocore::Scratch* scratch_;
  const uint64_t ram_bytes_;
};

}  // namespace

void ReserveScratch(const ScratchRequest& request, khocore::Scratch* scratch) {
  Layout layout(request, scratch);
  layout.AddLow();
  layout.AddGlobal();
  layout.AddNodes();
}

}  // namespace memory
