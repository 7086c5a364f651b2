// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/vmalloc.h"

namespace khocore {
namespace {

abi::VmallocChunk* ChunkAt(const PhysicalMemory& memory, PhysAddr address) {
  return static_cast<abi::VmallocChunk*>(memory.Find({address, kPageSize}));
}

/// More pages than this cannot be listed without naming one twice.
uint64_t RamPages(const PhysicalMemory& memory) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < memory.window_count(); ++i) bytes += memory.window(i).size;
  return bytes >> kPageShift;
}

Status CheckHead(const PhysicalMemory& memory, const abi::Vmalloc& vmalloc) {
  const PhysAddr first = PhysAddr::FromRaw(vmalloc.first);
  if (vmalloc.order > kMaxOrder) {
    return Error{ErrorCode::kOrderRange, first, vmalloc.order, kMaxOrder};
  }
  const uint64_t limit = RamPages(memory);
  if (vmalloc.total_pages > limit) {
    return Error{ErrorCode::kVmallocChain, first, vmalloc.total_pages, limit};
  }
  return Ok{};
}

/// A block or chunk that somebody wrote the address of.
Status CheckPlace(const PhysicalMemory& memory, uint64_t address, Order order) {
  const PhysAddr begin = PhysAddr::FromRaw(address);
  if (!begin.IsAligned(order.bytes())) {
    return Error{ErrorCode::kUnaligned, begin, address, order.bytes()};
  }
  if (memory.Find({begin, order.bytes()}) == nullptr) {
    return Error{ErrorCode::kOutsideRam, begin, order.bytes()};
  }
  return Ok{};
}

void FreeChunks(const PhysicalMemory& memory, PageSource& pages, PhysAddr first) {
  while (!first.is_null()) {
    const PageFrame page = PageFrame::Containing(first);
    first = PhysAddr::FromRaw(ChunkAt(memory, first)->next);
    pages.FreePage(page);
  }
}

/// A new chunk with `blocks`, in front of the chain that starts at `next`.
Result<PhysAddr> WriteChunk(const PhysicalMemory& memory, PageSource& pages,
                            Span<const PageFrame> blocks, PhysAddr next) {
  const Result<PageFrame> page = pages.AllocatePage();
  if (!page.ok()) return page.error();
  const PhysAddr address = page.value().address();
  abi::VmallocChunk* chunk = ChunkAt(memory, address);
  if (chunk == nullptr) {
    pages.FreePage(page.value());
    return Error{ErrorCode::kOutsideRam, address, kPageSize};
  }
  chunk->next = next.raw();
  for (size_t i = 0; i < blocks.size; ++i) chunk->blocks[i] = blocks[i].address().raw();
  return address;
}

}  // namespace

Result<abi::Vmalloc> WriteVmalloc(const PhysicalMemory& memory, PageSource& pages,
                                  Span<const PageFrame> blocks, Order order) {
  if (order.log2() > kMaxOrder) {
    return Error{ErrorCode::kOrderRange, PhysAddr(), order.log2(), kMaxOrder};
  }
  const uint64_t total = blocks.size * order.pages();
  if (blocks.size > UINT32_MAX >> order.log2()) {
    return Error{ErrorCode::kVmallocChain, PhysAddr(), total, UINT32_MAX};
  }
  // From the last chunk to the first, so that each can be linked to the one behind it.
  PhysAddr first;
  for (size_t end = blocks.size; end > 0;) {
    const size_t begin = (end - 1) / abi::kVmallocChunkEntries * abi::kVmallocChunkEntries;
    const Result<PhysAddr> chunk =
        WriteChunk(memory, pages, {blocks.data + begin, end - begin}, first);
    if (!chunk.ok()) {
      FreeChunks(memory, pages, first);
      return chunk.error();
    }
    first = chunk.value();
    end = begin;
  }
  const bool huge = order.log2() > 0;
  return abi::Vmalloc{
      .first = first.raw(),
      .total_pages = static_cast<uint32_t>(total),
      .flags = static_cast<uint16_t>(abi::kVmallocFlagAlloc | (huge ? abi::kVmallocFlagHuge : 0)),
      .order = static_cast<uint16_t>(order.log2()),
  };
}

Status PreserveVmalloc(const PhysicalMemory& memory, Tracker& tracker,
                       const abi::Vmalloc& vmalloc) {
  uint64_t preserved = 0;
  const auto preserve = [&](Block block) -> Status {
    KHOCORE_RETURN_IF_ERROR(tracker.Preserve(block));
    ++preserved;
    return Ok{};
  };
  const Status status = WalkVmalloc(memory, vmalloc, preserve,
                                    [&](PageFrame chunk) { return preserve({chunk, Order()}); });
  if (status.ok()) return status;
  // The same walk again meets the same blocks and chunks in the same order.
  const auto unpreserve = [&](Block block) -> Status {
    if (preserved == 0) return status;
    --preserved;
    return tracker.Unpreserve(block);
  };
  (void)WalkVmalloc(memory, vmalloc, unpreserve,
                    [&](PageFrame chunk) { return unpreserve({chunk, Order()}); });
  return status;
}

Status WalkVmalloc(const PhysicalMemory& memory, const abi::Vmalloc& vmalloc,
                   FunctionRef<Status(Block block)> visit,
                   FunctionRef<Status(PageFrame chunk)> chunk) {
  KHOCORE_RETURN_IF_ERROR(CheckHead(memory, vmalloc));
  const Order order = Order::FromLog2(vmalloc.order);
  uint64_t pages = 0;
  const auto disagrees = [&](PhysAddr where) {
    return Error{ErrorCode::kVmallocChain, where, pages, vmalloc.total_pages};
  };
  PhysAddr at = PhysAddr::FromRaw(vmalloc.first);
  PhysAddr last = at;
  bool full = true;
  for (; !at.is_null(); last = at, at = PhysAddr::FromRaw(ChunkAt(memory, at)->next)) {
    if (!full) return disagrees(at);
    KHOCORE_RETURN_IF_ERROR(CheckPlace(memory, at.raw(), Order()));
    KHOCORE_RETURN_IF_ERROR(chunk(PageFrame::Containing(at)));
    const uint64_t* entries = ChunkAt(memory, at)->blocks;
    uint32_t i = 0;
    for (; i < abi::kVmallocChunkEntries && entries[i] != 0; ++i) {
      const Block block{PageFrame::Containing(PhysAddr::FromRaw(entries[i])), order};
      pages += order.pages();
      if (pages > vmalloc.total_pages) return disagrees(at);
      KHOCORE_RETURN_IF_ERROR(CheckPlace(memory, entries[i], order));
      KHOCORE_RETURN_IF_ERROR(visit(block));
    }
    full = i == abi::kVmallocChunkEntries;
  }
  if (pages != vmalloc.total_pages) return disagrees(last);
  return Ok{};
}

}  // namespace khocore
