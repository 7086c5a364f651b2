// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "kernel/clients/stores.h"
#include "kernel/handover/generation.h"
#include "khocore/types.h"

namespace scenarios {

// What the tracker must hold for a region of pages, which the next generation and the host compare
// with: a byte for each page, 0 for nothing, 1 + order on the first page of a preserved block,
// `kModelTail` on its others.

inline constexpr uint8_t kModelTail = 0xff;

/// Whether a block begins at this page.
constexpr bool IsModelHead(uint8_t entry) { return entry != 0 && entry != kModelTail; }

/// The outcome of a step on the block of `order` at page `at`, given the pages as they are.
enum class Action : uint8_t { kPreserve, kUnpreserve, kNothing };
Action ActionOn(const uint8_t* pages, uint64_t at, khocore::Order order);
/// Applies it to the pages.
void Apply(uint8_t* pages, uint64_t at, khocore::Order order, Action action);

/// The block of `entry` at page `at` of a region that begins at `region`; a page where no block
/// begins. A tail or a page of nothing is a block of order 0.
constexpr khocore::Block ModelBlock(uint64_t region, uint64_t at, uint8_t entry) {
  const unsigned log2 = IsModelHead(entry) ? entry - 1u : 0;
  return {khocore::PageFrame::Containing(khocore::PhysAddr::FromRaw(region)) + at,
          khocore::Order::FromLog2(log2)};
}

/// The one page of the store `name`, which has `size` bytes. Ends the run when there is no such
/// store.
void* PageOfStore(const handover::Generation& generation, const char* name, uint64_t size);

}  // namespace scenarios
