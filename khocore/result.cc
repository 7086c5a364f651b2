// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/result.h"

namespace khocore {

const char* ErrorName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kOutOfMemory:
      return "out-of-memory";
    case ErrorCode::kNoSpace:
      return "no-space";
    case ErrorCode::kNotFound:
      return "not-found";
    case ErrorCode::kNotPreserved:
      return "not-preserved";
    case ErrorCode::kAlreadyPreserved:
      return "already-preserved";
    case ErrorCode::kOutsideRam:
      return "outside-ram";
    case ErrorCode::kInsideScratch:
      return "inside-scratch";
    case ErrorCode::kUnaligned:
      return "unaligned";
    case ErrorCode::kOverlap:
      return "overlap";
    case ErrorCode::kOrderRange:
      return "order-range";
    case ErrorCode::kRadixNull:
      return "radix-null";
    case ErrorCode::kRadixCycle:
      return "radix-cycle";
    case ErrorCode::kFdtMagic:
      return "fdt-magic";
    case ErrorCode::kFdtTotalSize:
      return "fdt-total-size";
    case ErrorCode::kFdtStructure:
      return "fdt-structure";
    case ErrorCode::kCompatibleMissing:
      return "compatible-missing";
    case ErrorCode::kCompatibleMismatch:
      return "compatible-mismatch";
    case ErrorCode::kMapMissing:
      return "map-missing";
    case ErrorCode::kPropertySize:
      return "property-size";
    case ErrorCode::kDataMissing:
      return "data-missing";
    case ErrorCode::kBlobSizeMissing:
      return "blob-size-missing";
    case ErrorCode::kBlobSizeRange:
      return "blob-size-range";
    case ErrorCode::kBlobNotPreserved:
      return "blob-not-preserved";
    case ErrorCode::kFragmentCycle:
      return "fragment-cycle";
    case ErrorCode::kFragmentDepth:
      return "fragment-depth";
    case ErrorCode::kVmallocChain:
      return "vmalloc-chain";
    case ErrorCode::kScratchLength:
      return "scratch-length";
    case ErrorCode::kScratchUnaligned:
      return "scratch-unaligned";
    case ErrorCode::kScratchOverlap:
      return "scratch-overlap";
    case ErrorCode::kCount:
      break;
  }
  return "unknown";
}

}  // namespace khocore
