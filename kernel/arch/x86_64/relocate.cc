// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/relocate.h"

#include "kernel/base/panic.h"

namespace arch {

using khocore::kPageSize;

void FillCopies(khocore::Span<const Segment> segments, RelocatorCopy* copies) {
  KHORIG_CHECK(segments.size <= kMaxCopies);
  for (size_t i = 0; i < segments.size; ++i) {
    const Segment& segment = segments[i];
    KHORIG_CHECK(segment.bytes <= segment.destination.size);
    const uint64_t rest = segment.destination.size - segment.bytes;
    const uint64_t page = khocore::AlignUp(segment.bytes, kPageSize) - segment.bytes;
    copies[i] = {segment.source.raw(), segment.destination.begin.raw(), segment.bytes,
                 page < rest ? page : rest};
  }
}

}  // namespace arch
