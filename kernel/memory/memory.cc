// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/memory/memory.h"

#include <string.h>

#include "kernel/arch/cpu.h"
#include "kernel/arch/mmu.h"
#include "kernel/arch/nodes.h"
#include "kernel/base/format.h"
#include "kernel/base/region_set.h"
#include "kernel/console/print.h"
#include "kernel/memory/points.h"
#include "kernel/memory/scratch_layout.h"
#include "kernel/rig/event.h"
#include "kernel/rig/stop.h"
#include "khocore/page_size.h"

namespace memory {
namespace {

using base::Direct;
using base::FormatTo;
using base::RegionSet;
using console::Print;
using khocore::FrameState;
using khocore::FrameTable;
using khocore::kPageSize;
using khocore::Ok;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Result;
using khocore::Scratch;
using khocore::Status;
using rig::EndWithError;
using rig::Event;
using rig::Options;
using rig::RequestError;
using rig::WaitForHost;

constexpr PhysAddr kNoLimit = PhysAddr::FromRaw(~uint64_t{0});

/// What is known before there is an allocator. Large, so not on the stack.
struct Layout {
  RegionSet ram;   ///< usable RAM
  RegionSet used;  ///< RAM that must not be overwritten: image, boot data, initrd
};
Layout layout;

/// Prints the `unused-ram` event.
void ReportUnused(PhysRange range, const char* why) {
  if (range.size == 0) return;
  Event("unused-ram").Hex("begin", range.begin.raw()).Hex("size", range.size).Text("why", why);
}

constexpr const char* kManyPieces = "the memory map has more pieces than can be kept";

/// Memory that must not be overwritten and is not known to be would be handed out.
void AddUsed(PhysRange range) {
  if (layout.used.Add(range)) return;
  EndWithError(RequestError::kUsage, "memory-map", "more than %lu pieces of memory are in use",
               RegionSet::kCapacity);
}

void FindRam(const base::BootInfo& info) {
  for (size_t i = 0; i < info.region_count; ++i) {
    const base::MemoryRegion& region = info.regions[i];
    if (region.type != base::MemoryType::kRam) continue;
    // Only whole pages of RAM can be used.
    const uint64_t begin = khocore::AlignUp(region.range.begin.raw(), kPageSize);
    const uint64_t end = khocore::AlignDown(region.range.end().raw(), kPageSize);
    if (begin >= end) continue;  // also when it wraps
    const PhysRange range{PhysAddr::FromRaw(begin), end - begin};
    if (!layout.ram.Add(range)) ReportUnused(range, kManyPieces);
  }
  for (size_t i = 0; i < info.region_count; ++i) {
    const base::MemoryRegion& region = info.regions[i];
    if (region.type == base::MemoryType::kRam) continue;
    ReportUnused(layout.ram.Remove(region.range), kManyPieces);
  }
  ReportUnused(layout.ram.Remove({PhysAddr(), arch::kFirstUsable}), kManyPieces);
  const PhysRange loaded[] = {info.image, info.initrd, info.device_tree};
  for (const PhysRange& range : loaded) AddUsed(range);
  for (size_t i = 0; i < info.keep_count; ++i) AddUsed(info.keep[i]);
  if (info.regions_dropped != 0) {
    Print("memory: %lu regions of the boot protocol found no room\n", info.regions_dropped);
  }
}

/// Maps as much of `range` from its begin on as can be; returns the rest, whole pages, and why.
PhysRange MapAsRam(Memory* memory, PhysRange range, const char** why) {
  PhysRange mapped = range;
  const Status status = arch::MapRam(range);
  if (!status.ok()) {
    *why = khocore::ErrorName(status.error().code);
    const PhysAddr where = status.error().where;
    mapped.size = where < range.begin ? 0 : where - range.begin;
  }
  if (mapped.size != 0) {
    const Status added = memory->physical.AddWindow(mapped, Direct<void>(mapped.begin));
    if (!added.ok()) {
      *why = kManyPieces;
      mapped.size = 0;
    }
  }
  memory->ram_bytes += mapped.size;
  return {mapped.end(), range.size - mapped.size};
}

static_assert(RegionSet::kCapacity <= khocore::PhysicalMemory::kMaxWindows);  // one for each piece

void MapAllRam(Memory* memory) {
  RegionSet unused;
  for (const PhysRange& range : layout.ram) {
    const char* why = "";
    const PhysRange rest = MapAsRam(memory, range, &why);
    ReportUnused(rest, why);
    (void)unused.Add(rest);  // a part of `ram`, so there is room
  }
  for (const PhysRange& range : unused) (void)layout.ram.Remove(range);
}

PageFrame FirstFrame(const Memory& memory) {
  return PageFrame::Containing(memory.physical.window(0).begin);
}

uint64_t FrameCount(const Memory& memory) {
  const auto& physical = memory.physical;
  const PhysRange last = physical.window(physical.window_count() - 1);
  return PageFrame::Containing(last.end()) - FirstFrame(memory);
}

/// The lowest hole of whole pages in `allowed` that nothing uses, which is used from here on; empty
/// when there is none.
PhysRange TakeHole(const RegionSet& allowed, uint64_t bytes) {
  const uint64_t size = khocore::AlignUp(bytes, kPageSize);
  const PhysAddr place = allowed.FindHole(size, kPageSize, layout.used,
                                          PhysAddr::FromRaw(arch::kFirstUsable), kNoLimit);
  if (place.is_null()) return {};
  AddUsed({place, size});
  return {place, size};
}

/// Makes the frame table in `allowed`, without anything marked yet. It gets a page for each chunk,
/// or as many as there is room for. Errors: `kOutOfMemory` when there is not even room for its
/// directory.
Status PlaceFrameTable(Memory* memory, const RegionSet& allowed) {
  const PageFrame first = FirstFrame(*memory);
  const uint64_t count = FrameCount(*memory);
  const PhysRange directory = TakeHole(allowed, FrameTable::DirectoryBytes(first, count));
  if (directory.size == 0) {
    return khocore::Error{khocore::ErrorCode::kOutOfMemory, PhysAddr(),
                          FrameTable::DirectoryBytes(first, count)};
  }
  memory->frames = FrameTable(first, count, Direct<void>(directory.begin));
  for (uint64_t pages = memory->frames.missing_pages(); pages != 0;) {
    const PhysRange taken = TakeHole(allowed, pages * kPageSize);
    memory->frames.AddPages({Direct<uint8_t>(taken.begin), taken.size});
    const uint64_t missing = memory->frames.missing_pages();
    pages = taken.size == 0 ? pages / 2 : pages < missing ? pages : missing;
  }
  return Ok{};
}

/// Marks the frames of a new table: RAM free, except what is in use; scratch. Errors:
/// `kOutOfMemory` when there is no room for what differs.
Status FillFrameTable(Memory* memory) {
  const auto& physical = memory->physical;
  // The last one first: on a PC it is the largest, and there is no chunk with a page to find yet.
  for (size_t i = physical.window_count(); i-- > 0;) {
    KHOCORE_RETURN_IF_ERROR(memory->frames.Fill(physical.window(i), FrameState::kFree));
  }
  // Before what is in use cuts chunks of scratch into frames.
  for (size_t i = 0; i < memory->scratch.area_count(); ++i) {
    KHOCORE_RETURN_IF_ERROR(memory->frames.SetScratch(memory->scratch.area(i)));
  }
  for (const PhysRange& range : layout.used) {
    for (size_t i = 0; i < physical.window_count(); ++i) {
      const PhysRange window = physical.window(i);
      if (!window.Overlaps(range)) continue;
      const PhysAddr begin = window.begin < range.begin ? range.begin : window.begin;
      const PhysAddr end = range.end() < window.end() ? range.end() : window.end();
      KHOCORE_RETURN_IF_ERROR(memory->frames.Fill({begin, end - begin}, FrameState::kAllocated));
    }
  }
  return Ok{};
}

/// What the allocator needs to take the pages that the frame table still misses.
constexpr uint64_t kPagesToTakeMore = 4;

bool CanTakeMorePages(const Memory& memory) {
  return memory.frames.missing_pages() == 0 || memory.frames.spare_pages() >= kPagesToTakeMore;
}

/// From here on a frame can be marked whatever was marked before.
void CompleteFrameTable(Memory* memory) {
  const uint64_t missing = memory->frames.missing_pages();
  if (missing == 0) return;
  const Result<PhysRange> pages = memory->allocator.AllocateRange(missing * kPageSize, kPageSize);
  if (!pages.ok()) {
    EndWithError(RequestError::kNoMemory, "no-memory",
                 "no room for the frame table: %lu pages in one piece", missing);
  }
  memory->frames.AddPages({Direct<uint8_t>(pages.value().begin), pages.value().size});
}

Status TakeHandover(const base::BootInfo& info, Memory* memory) {
  if (info.kho_root.size == 0) {
    return khocore::Error{khocore::ErrorCode::kPropertySize, info.kho_root.begin, 0, kPageSize};
  }
  const Result<Scratch> scratch = Scratch::Read(memory->physical, info.kho_scratch);
  if (!scratch.ok()) return scratch.error();
  memory->scratch = scratch.value();
  static RegionSet allowed;
  for (size_t i = 0; i < memory->scratch.area_count(); ++i) {
    (void)allowed.Add(memory->scratch.area(i));  // fewer than a set can hold
  }
  static_assert(Scratch::kMaxAreas <= RegionSet::kCapacity);
  KHOCORE_RETURN_IF_ERROR(PlaceFrameTable(memory, allowed));
  KHOCORE_RETURN_IF_ERROR(FillFrameTable(memory));
  auto incoming = khocore::Incoming::Open(memory->physical, info.kho_root.begin, memory->scratch,
                                          memory->frames);
  if (!incoming.ok()) return incoming.error();
  if (!CanTakeMorePages(*memory)) {
    return khocore::Error{khocore::ErrorCode::kOutOfMemory, PhysAddr(),
                          memory->frames.spare_pages(), memory->frames.missing_pages()};
  }
  memory->incoming = incoming.value();
  memory->has_incoming = true;
  return Ok{};
}

void Refuse(const khocore::Error& error) {
  char text[160];
  FormatTo(text, sizeof(text), "%s at 0x%lx: found 0x%lx, expected 0x%lx",
           khocore::ErrorName(error.code), error.where.raw(), error.found, error.expected);
  Print("handover refused: %s; this is a cold boot\n", text);
  Event("refused")
      .Text("cause", khocore::ErrorName(error.code))
      .Hex("where", error.where.raw())
      .Hex("found", error.found)
      .Hex("expected", error.expected)
      .Text("text", text);
}

void StartCold(const Options& options, const base::NodeMap& nodes, Memory* memory) {
  memory->scratch = Scratch();
  static RegionSet allowed;
  allowed = layout.ram;
  ReserveScratch({options, nodes, layout.used, &allowed}, &memory->scratch);
  if (!PlaceFrameTable(memory, allowed).ok() || !FillFrameTable(memory).ok()) {
    EndWithError(RequestError::kNoMemory, "no-memory", "no room for the frame table");
  }
}

}  // namespace

void SetUpMemory(const base::BootInfo& info, const Options& options, Memory* memory) {
  FindRam(info);
  const base::NodeMap& known = arch::FindNodes(info, [](const char* text, uint64_t value) {
    Print("memory: ignored: %s 0x%lx\n", text, value);
  });
  MapAllRam(memory);
  if (memory->physical.window_count() == 0) {
    EndWithError(RequestError::kNoMemory, "no-memory", "the boot protocol names no usable RAM");
  }
  if (info.has_handover) {
    FoundHandover found{info, memory->physical};
    rig::At<rig::Point::kHandoverFound>(found);
    const RegionSet before = layout.used;
    const Status taken = TakeHandover(info, memory);
    if (!taken.ok()) {
      const Status same_size = khocore::CheckPageSize(memory->physical, info.kho_root.begin);
      Refuse(same_size.ok() ? taken.error() : same_size.error());
      memory->has_refused = true;
      if (options.stop_at_refused) {
        Event("stop").Text("at", "refused");
        WaitForHost();
      }
      layout.used = before;
    }
  }
  FoundNodes nodes{&known, &known};
  rig::At<rig::Point::kNodesFound>(nodes);
  if (!memory->has_incoming) StartCold(options, *nodes.of_scratch, memory);
  memory->allocator.Initialize(memory->physical, memory->frames, *nodes.of_blocks);
  CompleteFrameTable(memory);
}

void ReportMemory(const Memory& memory) {
  Event event("memory");
  event.Number("ram_bytes", memory.ram_bytes)
      .Begin("frames", '{')
      .Hex("table", reinterpret_cast<uint64_t>(memory.frames.directory()))
      .Number("first", memory.frames.first().number())
      .Number("count", memory.frames.size())
      .End('}')
      .Begin("scratch", '[');
  for (size_t i = 0; i < memory.scratch.area_count(); ++i) {
    event.ItemBegin('[')
        .Item(memory.scratch.area(i).begin.raw())
        .Item(memory.scratch.area(i).size)
        .End(']');
  }
  event.End(']').Number("free_pages", memory.allocator.free_pages());
}

}  // namespace memory
