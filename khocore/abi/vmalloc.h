// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "khocore/abi/geometry.h"

/// A list of blocks that one mapping is made of (Linux 7.2, struct kho_vmalloc): `first` points to
/// a chain of chunk pages, each a link to the next chunk and up to 511 block addresses. The list
/// ends at the first zero address or with the page. Chunk pages are preserved with order 0.

namespace khocore::abi {

struct Vmalloc {
  uint64_t first;        ///< physical address of the first chunk
  uint32_t total_pages;  ///< pages of all blocks together
  uint16_t flags;        ///< `kVmallocFlag*`
  uint16_t order;        ///< of every block
};
static_assert(sizeof(Vmalloc) == 16);
static_assert(offsetof(Vmalloc, order) == 14);

inline constexpr uint16_t kVmallocFlagAlloc = 1;
inline constexpr uint16_t kVmallocFlagHuge = 2;

inline constexpr uint32_t kVmallocChunkEntries = kGeometry.chunk_entries();

struct VmallocChunk {
  uint64_t next;  ///< physical address of the next chunk, or 0
  uint64_t blocks[kVmallocChunkEntries];
};
static_assert(sizeof(VmallocChunk) == kGeometry.page_size());

}  // namespace khocore::abi
