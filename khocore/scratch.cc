// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/scratch.h"

#include <string.h>

#include "khocore/abi/scratch.h"

namespace khocore {

Result<Scratch> Scratch::Read(const PhysicalMemory& memory, PhysRange array) {
  constexpr uint64_t kEntry = sizeof(abi::ScratchArea);
  if (array.size == 0 || array.size % kEntry != 0 || array.size > kMaxAreas * kEntry) {
    return Error{ErrorCode::kScratchLength, array.begin, array.size, kEntry};
  }
  const Result<void*> bytes = memory.Map(array);
  if (!bytes.ok()) return bytes.error();

  Scratch scratch;
  for (uint64_t offset = 0; offset < array.size; offset += kEntry) {
    abi::ScratchArea entry;
    memcpy(&entry, static_cast<const uint8_t*>(bytes.value()) + offset, kEntry);
    const PhysRange area{PhysAddr::FromRaw(entry.address), entry.size};
    KHOCORE_RETURN_IF_ERROR(scratch.Add(area));
    if (area.size != 0 && memory.Find(area) == nullptr) {
      return Error{ErrorCode::kOutsideRam, area.begin, area.size};
    }
  }
  if (scratch.bytes() == 0) return Error{ErrorCode::kScratchLength, array.begin, 0, kEntry};
  return scratch;
}

Status Scratch::Add(PhysRange area) {
  if (!area.begin.IsAligned(abi::kScratchAlignment) || area.size % abi::kScratchAlignment != 0) {
    return Error{ErrorCode::kScratchUnaligned, area.begin, area.size, abi::kScratchAlignment};
  }
  if (area.Wraps()) return Error{ErrorCode::kOutsideRam, area.begin, area.size};
  for (size_t i = 0; i < count_; ++i) {
    if (!areas_[i].Overlaps(area)) continue;
    return Error{ErrorCode::kScratchOverlap, area.begin, area.size, areas_[i].begin.raw()};
  }
  if (count_ == kMaxAreas) return Error{ErrorCode::kNoSpace, area.begin, count_, kMaxAreas};
  areas_[count_++] = area;
  return Ok{};
}

bool Scratch::Overlaps(PhysRange range) const {
  for (size_t i = 0; i < count_; ++i) {
    if (areas_[i].Overlaps(range)) return true;
  }
  return false;
}

uint64_t Scratch::bytes() const {
  uint64_t sum = 0;
  for (size_t i = 0; i < count_; ++i) sum += areas_[i].size;
  return sum;
}

}  // namespace khocore
