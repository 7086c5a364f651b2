// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/memory/memory.h"

#include <string.h>

#include "kernel/arch/arch.h"
#include "kernel/base/print.h"
#include "kernel/base/region_set.h"
#include "kernel/rig/event.h"
#include "kernel/rig/stop.h"
#include "khocore/abi/scratch.h"

namespace core {
namespace {

using khocore::Block;
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

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr PhysAddr kLowLimit = PhysAddr::FromRaw(uint64_t{4} << 30);
constexpr PhysAddr kNoLimit = PhysAddr::FromRaw(~uint64_t{0});

/// What is known before there is an allocator. Large, so not on the stack.
struct Layout {
  RegionSet ram;   ///< usable RAM
  RegionSet used;  ///< RAM that must not be overwritten: image, boot data, initrd
};
Layout layout;

void FindRam(const boot::BootInfo& info) {
  bool fits = info.regions_dropped == 0;
  for (size_t i = 0; i < info.region_count; ++i) {
    const boot::MemoryRegion& region = info.regions[i];
    if (region.type != boot::MemoryType::kRam) continue;
    // Only whole pages of RAM can be used.
    const uint64_t begin = khocore::AlignUp(region.range.begin.raw(), kPageSize);
    const uint64_t end =
        region.range.Wraps() ? 0 : khocore::AlignDown(region.range.end().raw(), kPageSize);
    if (begin < end) fits &= layout.ram.Add({PhysAddr::FromRaw(begin), end - begin});
  }
  for (size_t i = 0; i < info.region_count; ++i) {
    const boot::MemoryRegion& region = info.regions[i];
    if (region.type != boot::MemoryType::kRam) fits &= layout.ram.Remove(region.range);
  }
  fits &= layout.ram.Remove({PhysAddr(), arch::kFirstUsable});
  const PhysRange loaded[] = {info.image, info.initrd, info.device_tree};
  for (const PhysRange& range : loaded) fits &= layout.used.Add(range);
  for (size_t i = 0; i < info.keep_count; ++i) fits &= layout.used.Add(info.keep[i]);
  if (!fits) Print("memory: the map has more pieces than can be kept; some RAM is not used\n");
}

void MapAllRam(Memory* memory) {
  for (const PhysRange& range : layout.ram) {
    if (!arch::MapRam(range).ok() ||
        !memory->physical.AddWindow(range, Direct<void>(range.begin)).ok()) {
      Print("memory: RAM at 0x%lx cannot be mapped and is not used\n", range.begin.raw());
      continue;
    }
    memory->ram_bytes += range.size;
  }
}

uint64_t FrameCount(const Memory& memory) {
  const auto& physical = memory.physical;
  const PhysRange last = physical.window(physical.window_count() - 1);
  return PageFrame::Containing(last.end()) - PageFrame::Containing(physical.window(0).begin);
}

/// Puts a new frame table at `place`: RAM free, except what is in use; scratch marked.
void CreateFrameTable(Memory* memory, PhysAddr place) {
  const PageFrame first = PageFrame::Containing(memory->physical.window(0).begin);
  memory->frames = FrameTable(first, {Direct<uint8_t>(place), FrameCount(*memory)});
  const auto mark = [memory](PhysRange range, FrameState state) {
    (void)ForEachBlock(range, [&](Block block) -> Status {
      if (memory->frames.Covers(block)) memory->frames.Set(block, state);
      return Ok{};
    });
  };
  for (size_t i = 0; i < memory->physical.window_count(); ++i) {
    mark(memory->physical.window(i), FrameState::kFree);
  }
  for (const PhysRange& range : layout.used) {
    for (size_t i = 0; i < memory->physical.window_count(); ++i) {
      const PhysRange window = memory->physical.window(i);
      if (!window.Overlaps(range)) continue;
      const PhysAddr begin = window.begin < range.begin ? range.begin : window.begin;
      const PhysAddr end = range.end() < window.end() ? range.end() : window.end();
      mark({begin, end - begin}, FrameState::kAllocated);
    }
  }
  for (size_t i = 0; i < memory->scratch.area_count(); ++i) {
    memory->frames.SetScratch(memory->scratch.area(i));
  }
}

/// A hole for the frame table inside `allowed`; ends the machine when there is none.
PhysAddr PlaceFrameTable(const Memory& memory, const RegionSet& allowed) {
  const uint64_t bytes = khocore::AlignUp(FrameCount(memory), kPageSize);
  const PhysAddr place = allowed.FindHole(bytes, kPageSize, layout.used,
                                          PhysAddr::FromRaw(arch::kFirstUsable), kNoLimit);
  if (place.is_null()) {
    EndWithError(RequestError::kNoMemory, "no-memory",
                 "no room for the frame table: %lu bytes in one piece", bytes);
  }
  layout.used.Add({place, bytes});
  return place;
}

Status TakeHandover(const boot::BootInfo& info, Memory* memory) {
  const Result<Scratch> scratch = Scratch::Read(memory->physical, info.kho_scratch);
  if (!scratch.ok()) return scratch.error();
  memory->scratch = scratch.value();
  static RegionSet allowed;
  for (size_t i = 0; i < memory->scratch.area_count(); ++i) {
    allowed.Add(memory->scratch.area(i));
  }
  CreateFrameTable(memory, PlaceFrameTable(*memory, allowed));
  auto incoming = khocore::Incoming::Open(memory->physical, info.kho_root.begin, memory->scratch,
                                          memory->frames);
  if (!incoming.ok()) return incoming.error();
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

uint64_t DefaultScratchSize(const Memory& memory, bool low) {
  const uint64_t share = memory.ram_bytes / (low ? 16 : 32);
  const uint64_t least = (low ? 8 : 4) * kMiB;
  const uint64_t most = (low ? 64 : 32) * kMiB;
  return share < least ? least : share > most ? most : share;
}

/// The first kernel of a chain lays out scratch as Linux does: low memory, global, one per node
/// (one node here).
void ReserveScratch(const Options& options, Memory* memory) {
  constexpr const char* kNames[] = {"low", "global", "node"};
  for (int i = 0; i < 3; ++i) {
    uint64_t size = options.scratch_sizes[i];
    if (size == 0) size = DefaultScratchSize(*memory, i == 0);
    size = khocore::AlignUp(size, khocore::abi::kScratchAlignment);
    const auto find = [size](PhysAddr limit) {
      return layout.ram.FindHole(size, khocore::abi::kScratchAlignment, layout.used,
                                 PhysAddr::FromRaw(arch::kFirstUsable), limit);
    };
    PhysAddr place = find(i == 0 ? kLowLimit : kNoLimit);
    if (place.is_null()) place = find(kNoLimit);  // a machine may have no low memory at all
    if (place.is_null() || !memory->scratch.Add({place, size}).ok()) {
      EndWithError(RequestError::kNoMemory, "no-memory",
                   "no room for the %s scratch area: %lu MiB in one piece of %lu MiB RAM",
                   kNames[i], size / kMiB, memory->ram_bytes / kMiB);
    }
    layout.used.Add({place, size});
  }
}

void StartCold(const Options& options, Memory* memory) {
  const RegionSet before = layout.used;
  memory->scratch = Scratch();
  ReserveScratch(options, memory);
  const PhysAddr place = PlaceFrameTable(*memory, layout.ram);
  // Scratch is kept free of what is in use, but is no use by itself: frames say so by a bit.
  layout.used = before;
  layout.used.Add({place, FrameCount(*memory)});
  CreateFrameTable(memory, place);
}

}  // namespace

void SetUpMemory(const boot::BootInfo& info, const Options& options, Memory* memory) {
  FindRam(info);
  MapAllRam(memory);
  if (memory->physical.window_count() == 0) {
    EndWithError(RequestError::kNoMemory, "no-memory", "the boot protocol names no usable RAM");
  }
  if (info.kho_root.size != 0) {
    const RegionSet before = layout.used;
    const Status taken = TakeHandover(info, memory);
    if (!taken.ok()) {
      Refuse(taken.error());
      if (options.stop_at_refused) {
        Event("stop").Text("at", "refused");
        WaitForHost();
      }
      layout.used = before;
    }
  }
  if (!memory->has_incoming) StartCold(options, memory);
  memory->allocator.Initialize(memory->physical, memory->frames);
}

void ReportMemory(const Memory& memory) {
  Event event("memory");
  event.Number("ram_bytes", memory.ram_bytes)
      .Begin("frames", '{')
      .Hex("table", reinterpret_cast<uint64_t>(memory.frames.bytes()))
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

}  // namespace core
