// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/physical_memory.h"

namespace khocore {

Status PhysicalMemory::AddWindow(PhysRange range, void* bytes) {
  if (range.size == 0 || range.Wraps()) {
    return Error{ErrorCode::kOutsideRam, range.begin, range.size};
  }
  size_t at = 0;
  while (at < count_ && windows_[at].range.begin < range.begin) ++at;
  for (size_t i = at == 0 ? 0 : at - 1; i < count_ && i <= at; ++i) {
    if (!windows_[i].range.Overlaps(range)) continue;
    return Error{ErrorCode::kOverlap, range.begin, range.size, windows_[i].range.begin.raw()};
  }

  const Window added{range, static_cast<uint8_t*>(bytes)};
  const auto touch = [](const Window& low, const Window& high) {
    return low.range.end() == high.range.begin && low.bytes + low.range.size == high.bytes;
  };
  const bool joins_low = at > 0 && touch(windows_[at - 1], added);
  const bool joins_high = at < count_ && touch(added, windows_[at]);
  if (joins_low) {
    windows_[at - 1].range.size += range.size;
    if (joins_high) {
      windows_[at - 1].range.size += windows_[at].range.size;
      --count_;
      for (size_t i = at; i < count_; ++i) windows_[i] = windows_[i + 1];
    }
    NoteSize(windows_[at - 1]);
    return Ok{};
  }
  if (joins_high) {
    windows_[at].range = {range.begin, range.size + windows_[at].range.size};
    windows_[at].bytes = added.bytes;
    NoteSize(windows_[at]);
    return Ok{};
  }
  if (count_ == kMaxWindows) {
    return Error{ErrorCode::kNoSpace, range.begin, count_, kMaxWindows};
  }
  for (size_t i = count_; i > at; --i) windows_[i] = windows_[i - 1];
  windows_[at] = added;
  ++count_;
  NoteSize(added);
  return Ok{};
}

PhysRange PhysicalMemory::WindowOf(PhysAddr address) const {
  if (largest_.range.Contains({address, 1})) return largest_.range;
  for (size_t i = 0; i < count_; ++i) {
    if (windows_[i].range.Contains({address, 1})) return windows_[i].range;
  }
  return {};
}

}  // namespace khocore
