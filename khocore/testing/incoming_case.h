// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "khocore/abi/vmalloc.h"
#include "khocore/types.h"

namespace khocore {

/// An input of the fuzzer: what another kernel left in memory. This header, then records: where in
/// RAM (`CaseRecord`), and `size` bytes for there. RAM is zero elsewhere. The last record may be
/// short; records that reach beyond their page are cut, so that every input means something.
struct CaseHeader {
  uint64_t root;           ///< address that the boot protocol gave for the root page
  uint64_t scratch_array;  ///< and for the scratch array
  uint64_t scratch_size;
  abi::Vmalloc vmalloc;
};
static_assert(sizeof(CaseHeader) == 40);

struct CaseRecord {
  uint16_t page;    ///< modulo the pages of RAM
  uint16_t offset;  ///< modulo the page size
  uint16_t size;
};
static_assert(sizeof(CaseRecord) == 6);

/// The RAM that a case is about, and where scratch lies when the case has no good array.
inline constexpr PhysRange kCaseRam{PhysAddr::FromRaw(uint64_t{1} << 30), uint64_t{32} << 20};
inline constexpr PhysRange kCaseScratch{kCaseRam.begin, uint64_t{4} << 20};

/// Lays the input over RAM, which is read-only then, takes every way into it that a kernel takes,
/// and aborts when an answer contradicts another one.
void RunIncomingCase(Span<const uint8_t> input);

}  // namespace khocore
