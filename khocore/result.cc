// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/result.h"

namespace khocore {
namespace {

struct Name {
  ErrorCode code;
  const char* text;
};

constexpr Name kNames[] = {
    {ErrorCode::kOutOfMemory, "out-of-memory"},
    {ErrorCode::kNoSpace, "no-space"},
    {ErrorCode::kNotFound, "not-found"},
    {ErrorCode::kNotPreserved, "not-preserved"},
    {ErrorCode::kNotAllocated, "not-allocated"},
    {ErrorCode::kAlreadyPreserved, "already-preserved"},
    {ErrorCode::kOutsideRam, "outside-ram"},
    {ErrorCode::kInsideScratch, "inside-scratch"},
    {ErrorCode::kUnaligned, "unaligned"},
    {ErrorCode::kOverlap, "overlap"},
    {ErrorCode::kOrderRange, "order-range"},
    {ErrorCode::kRadixNull, "radix-null"},
    {ErrorCode::kRadixCycle, "radix-cycle"},
    {ErrorCode::kFdtMagic, "fdt-magic"},
    {ErrorCode::kFdtTotalSize, "fdt-total-size"},
    {ErrorCode::kFdtStructure, "fdt-structure"},
    {ErrorCode::kCompatibleMissing, "compatible-missing"},
    {ErrorCode::kCompatibleMismatch, "compatible-mismatch"},
    {ErrorCode::kMapMissing, "map-missing"},
    {ErrorCode::kPropertySize, "property-size"},
    {ErrorCode::kDataMissing, "data-missing"},
    {ErrorCode::kBlobSizeMissing, "blob-size-missing"},
    {ErrorCode::kBlobSizeRange, "blob-size-range"},
    {ErrorCode::kBlobNotPreserved, "blob-not-preserved"},
    {ErrorCode::kFragmentCycle, "fragment-cycle"},
    {ErrorCode::kFragmentDepth, "fragment-depth"},
    {ErrorCode::kVmallocChain, "vmalloc-chain"},
    {ErrorCode::kScratchLength, "scratch-length"},
    {ErrorCode::kScratchUnaligned, "scratch-unaligned"},
    {ErrorCode::kScratchOverlap, "scratch-overlap"},
    {ErrorCode::kVersion, "version"},
    {ErrorCode::kMagic, "magic"},
    {ErrorCode::kPageSize, "page-size"},
};
constexpr size_t kNameCount = sizeof(kNames) / sizeof(kNames[0]);

constexpr bool EveryNameIsInItsPlace() {
  for (size_t i = 0; i < kNameCount; ++i) {
    if (static_cast<size_t>(kNames[i].code) != i) return false;
  }
  return kNameCount == static_cast<size_t>(ErrorCode::kCount);
}
static_assert(EveryNameIsInItsPlace());

}  // namespace

const char* ErrorName(ErrorCode code) {
  const size_t index = static_cast<size_t>(code);
  return index < kNameCount ? kNames[index].text : "unknown";
}

}  // namespace khocore
