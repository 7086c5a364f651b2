// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/kernel_map.h"

#include "kernel/arch/cpu_stacks.h"
#include "kernel/arch/x86_64/image_base.h"

namespace arch {

using khocore::AlignDown;
using khocore::AlignUp;
using khocore::Error;
using khocore::ErrorCode;
using khocore::kPageSize;
using khocore::Ok;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Span;
using khocore::Status;

namespace {

/// Maps the 2 MiB pages that are not mapped yet, and adds `flags` to those that are. Returns
/// whether an entry in use was changed.
bool MapEntries(Span<uint64_t> entries, uint64_t begin, uint64_t flags, uint64_t no_execute) {
  const uint64_t wanted = flags | kPresent;
  bool changed = false;
  uint64_t at = begin;
  for (uint64_t& entry : entries) {
    if ((entry & wanted) != wanted) {
      changed = changed || (entry & kPresent) != 0;
      WriteEntry(&entry, entry & kPresent ? entry | flags
                                          : at | wanted | kWritable | kLargePage | no_execute);
    }
    at += kLargePageSize;
  }
  return changed;
}

/// Maps each GiB from `begin` on that is not mapped yet, up to the end of these entries or of the
/// whole GiBs before `end`. Returns where it stopped: at an entry that is in use otherwise, too.
uint64_t MapHugeEntries(Span<uint64_t> entries, uint64_t begin, uint64_t end, uint64_t no_execute) {
  uint64_t at = begin;
  for (uint64_t& entry : entries) {
    if (entry != 0 || at % kHugePageSize != 0 || end - at < kHugePageSize) break;
    WriteEntry(&entry, at | kPresent | kWritable | kLargePage | no_execute);
    at += kHugePageSize;
  }
  return at;
}

/// Maps from `begin` to `end`, multiples of 2 MiB. Errors: as `MapIdentity`.
Status MapPages(PageTables& tables, const PagingFeatures& features, uint64_t begin, uint64_t end,
                uint64_t flags, PageTables::NewTable new_table, bool* changed) {
  const bool huge_pages = features.huge_pages && flags == 0;
  for (uint64_t at = begin; at < end;) {
    const PhysAddr where = PhysAddr::FromRaw(at);
    const Span<uint64_t> huge = tables.Make(at, Leaf::kHugePage, new_table);
    if (huge.size == 0) return Error{ErrorCode::kOutOfMemory, where};
    if (huge_pages) {
      const uint64_t mapped = MapHugeEntries(huge, at, end, features.no_execute);
      if (mapped != at) {
        at = mapped;
        continue;
      }
    }
    if ((huge[0] & kLargePage) != 0) {
      if (flags != 0) return Error{ErrorCode::kOverlap, where, huge[0], flags};
      at = AlignDown(at, kHugePageSize) + kHugePageSize;
      continue;
    }
    Span<uint64_t> entries = tables.Make(at, Leaf::kLargePage, new_table);
    if (entries.size == 0) return Error{ErrorCode::kOutOfMemory, where};
    const uint64_t wanted = (end - at) / kLargePageSize;
    if (entries.size > wanted) entries.size = wanted;
    *changed = MapEntries(entries, at, flags, features.no_execute) || *changed;
    at += entries.size * kLargePageSize;
  }
  return Ok{};
}

void ForbidExecution(PageTables& tables, uint64_t begin, uint64_t end, uint64_t no_execute) {
  for (uint64_t at = begin; at < end;) {
    for (uint64_t& entry : tables.Find(at, Leaf::kLargePage)) {
      if (at >= end) break;
      WriteEntry(&entry, entry | no_execute);
      at += kLargePageSize;
    }
  }
}

}  // namespace

Status MapIdentity(PageTables& tables, const PagingFeatures& features, PhysRange range,
                   uint64_t flags, PageTables::NewTable new_table, bool* changed) {
  const uint64_t limit = features.limit;
  const uint64_t begin = AlignDown(range.begin.raw(), kLargePageSize);
  const bool beyond = range.Wraps() || range.end().raw() > limit;
  const uint64_t end = beyond ? limit : AlignUp(range.end().raw(), kLargePageSize);
  KHOCORE_RETURN_IF_ERROR(MapPages(tables, features, begin, end, flags, new_table, changed));
  if (beyond) {
    const PhysAddr where = PhysAddr::FromRaw(begin < limit ? limit : range.begin.raw());
    return Error{ErrorCode::kOutsideRam, where, range.size, limit};
  }
  return Ok{};
}

void ProtectImage(PageTables& tables, const PagingFeatures& features, uint64_t load_address,
                  const ImageParts& parts) {
  uint64_t at = 0;
  const Span<uint64_t> entries = tables.Find(IMAGE_BASE, Leaf::kPage);
  for (uint64_t& entry : entries) {
    const uint64_t flags = at < parts.text_end     ? kPresent
                           : at < parts.rodata_end ? kPresent | features.no_execute
                                                   : kPresent | kWritable | features.no_execute;
    WriteEntry(&entry, at < parts.image_end ? (entry & kTableAddress) | flags : 0);
    at += kPageSize;
  }
  WriteEntry(&entries[parts.stack_guard / kPageSize], 0);
  ForbidExecution(tables, 0, kEarlyMapEnd, features.no_execute);
  ForbidExecution(tables, AlignDown(load_address, kLargePageSize),
                  AlignUp(load_address + kLargePageSize, kLargePageSize), features.no_execute);
}

bool MapCpuStack(PageTables& tables, const PagingFeatures& features, size_t number, PhysAddr memory,
                 PageTables::NewTable new_table) {
  const PhysRange stack = CpuStack(IMAGE_BASE, number);
  return tables.Map(stack.begin.raw(), memory.raw(), stack.size, Leaf::kPage,
                    kPresent | kWritable | features.no_execute, new_table);
}

}  // namespace arch
