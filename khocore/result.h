// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "khocore/types.h"

namespace khocore {

/// Why an operation failed. Each code has a stable name, see `ErrorName()`; the names are what
/// refusals print and what the host matches, so they are never reused for another meaning.
enum class ErrorCode : uint8_t {
  kOutOfMemory,         ///< the page source has no page left
  kNoSpace,             ///< no room for one more: the fragment's page or the list is full
  kNotFound,            ///< no such client, node or property
  kNotPreserved,        ///< the block is not in the tracker, or with another order
  kNotAllocated,        ///< no block that this kernel's allocator handed out
  kAlreadyPreserved,    ///< the same block is in the tracker already
  kOutsideRam,          ///< a range is not wholly inside RAM
  kInsideScratch,       ///< a range that must outlive the jump overlaps scratch
  kUnaligned,           ///< an address is not aligned to its size
  kOverlap,             ///< two blocks claim the same page
  kOrderRange,          ///< a radix key without a valid order bit
  kRadixNull,           ///< the memory map pointer is zero
  kRadixCycle,          ///< a radix node is reached twice
  kFdtMagic,            ///< no FDT magic
  kFdtTotalSize,        ///< totalsize is smaller than the header or larger than a page
  kFdtStructure,        ///< not one whole tree, see `FdtView::Open`
  kCompatibleMissing,   ///< the root has no `compatible` property
  kCompatibleMismatch,  ///< `compatible` is another string than the one expected
  kMapMissing,          ///< `preserved-memory-map` is absent
  kPropertySize,        ///< a property has another length than the ABI says
  kDataMissing,         ///< `preserved-data` is absent
  kBlobSizeMissing,     ///< `blob-size` is absent
  kBlobSizeRange,       ///< `blob-size` is zero, or reaches beyond the preserved memory
  kBlobNotPreserved,    ///< a blob or the root page lies in pages nobody preserved
  kFragmentCycle,       ///< a fragment is reached twice
  kFragmentDepth,       ///< fragments are nested deeper than `kMaxFragmentDepth`
  kVmallocChain,        ///< a vmalloc chunk chain is cyclic or disagrees with its page count
  kScratchLength,       ///< the scratch array is empty or no multiple of 16 bytes
  kScratchUnaligned,    ///< a scratch area is not aligned to `kScratchAlignment`
  kScratchOverlap,      ///< two scratch areas overlap
  kVersion,             ///< a structure has another version than the one expected
  kMagic,               ///< a structure does not begin with its magic number
  kPageSize,            ///< the handover was written with pages of another size
  kCount,               ///< number of codes, not an error
};

/// Stable lower-case name of a code, such as "fdt-magic". Static storage.
const char* ErrorName(ErrorCode code);

/// An error with the evidence: what was found where, and what was expected there. `found` and
/// `expected` hold whatever the code compares (sizes, addresses, property lengths), else 0.
struct Error {
  ErrorCode code;
  PhysAddr where = PhysAddr();
  uint64_t found = 0;
  uint64_t expected = 0;
};

/// Either a `T` or an `Error`. Reading the wrong side is a bug of the caller and traps.
template <typename T>
class [[nodiscard]] Result {
 public:
  constexpr Result(T value) : value_(value), ok_(true) {}       // NOLINT
  constexpr Result(Error error) : error_(error), ok_(false) {}  // NOLINT

  constexpr bool ok() const { return ok_; }
  constexpr const T& value() const {
    if (!ok_) __builtin_trap();
    return value_;
  }
  constexpr const Error& error() const {
    if (ok_) __builtin_trap();
    return error_;
  }

 private:
  // One of them, so that a result costs no more than what it holds.
  union {
    T value_;
    Error error_;
  };
  bool ok_;
};

/// The result of an operation that has nothing to return but success.
struct Ok {};
using Status = Result<Ok>;

/// Returns from the enclosing function with the error of `expression`, if it has one.
#define KHOCORE_RETURN_IF_ERROR(expression)                               \
  do {                                                                    \
    if (const auto khocore_status = (expression); !khocore_status.ok()) { \
      return khocore_status.error();                                      \
    }                                                                     \
  } while (0)

}  // namespace khocore
