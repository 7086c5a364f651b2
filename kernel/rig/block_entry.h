// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "khocore/abi/kho_test.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace rig {

// An entry of a list of blocks, as Linux's test module has it for folios (khocore/abi/kho_test.h)
// and scenarios for theirs: the physical address, with the order in the bits below the page size.

constexpr uint64_t EncodeBlock(khocore::Block block) {
  return block.begin().raw() | block.order.log2();
}

/// An entry that may come from another kernel. Errors: `kOrderRange`.
constexpr khocore::Result<khocore::Block> DecodeBlock(uint64_t entry) {
  const auto address = khocore::PhysAddr::FromRaw(entry);
  const auto log2 = static_cast<unsigned>(entry & khocore::abi::kKhoTestOrderMask);
  if (log2 > khocore::kMaxOrder) {
    return khocore::Error{khocore::ErrorCode::kOrderRange, address, log2, khocore::kMaxOrder};
  }
  return khocore::Block{khocore::PageFrame::Containing(address), khocore::Order::FromLog2(log2)};
}

}  // namespace rig
