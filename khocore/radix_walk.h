// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/function_ref.h"
#include "khocore/physical_memory.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace khocore {

/// Callbacks of `WalkRadix`. An error ends the walk and becomes its result.
struct RadixVisitor {
  /// A node page, before anything in it is read. `level` counts down from the root to 0, the leaf.
  FunctionRef<Status(PageFrame node, unsigned level)> node;
  /// A preserved block, in the order of the keys. Well-formed (order in range, aligned) but not
  /// checked against RAM.
  FunctionRef<Status(Block block)> block;
};

/// Walks a radix tree that another kernel may have written. Bounded by depth; the tree itself is
/// not changed. Errors: `kRadixNull`, `kUnaligned` and `kOutsideRam` for a node pointer,
/// `kRadixCycle` for a node that is its own ancestor, `kOrderRange` for a key with no valid order
/// bit, and what the callbacks return.
///
/// `where` of an error is the address of the node; `found` of `kOrderRange` is the key.
///
/// A node that hangs in two places is visited twice, so a tree that shares nodes can take a time
/// exponential in its depth: a caller that does not trust the tree refuses known nodes in `node`.
Status WalkRadix(const PhysicalMemory& memory, PhysAddr root, const RadixVisitor& visitor);

/// As above, but an error, found or returned by a callback, is given to `broken`. When that returns
/// `Ok`, the walk goes on behind the node, key or block.
Status WalkRadix(const PhysicalMemory& memory, PhysAddr root, const RadixVisitor& visitor,
                 FunctionRef<Status(const Error& error)> broken);

}  // namespace khocore
