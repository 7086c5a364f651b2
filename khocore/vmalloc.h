// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/abi/vmalloc.h"
#include "khocore/function_ref.h"
#include "khocore/page_source.h"
#include "khocore/physical_memory.h"
#include "khocore/result.h"
#include "khocore/tracker.h"
#include "khocore/types.h"

namespace khocore {

/// Writes the list of `blocks`, all of one order, as a chain of chunk pages in Linux's vmalloc form
/// and preserves blocks and chunk pages. Errors: `kOutOfMemory`, and what `Tracker::Preserve` says; on error nothing stays
/// preserved and no page is lost.
Result<abi::Vmalloc> PreserveVmalloc(const PhysicalMemory& memory, PageSource& pages,
                                     Tracker& tracker, Span<const PageFrame> blocks, Order order);

/// The exact inverse: unpreserves blocks and chunk pages and gives the chunk pages back.
/// Errors: `kVmallocChain`, `kNotPreserved`.
Status UnpreserveVmalloc(const PhysicalMemory& memory, PageSource& pages, Tracker& tracker,
                         const abi::Vmalloc& vmalloc);

/// Walks a chain that another kernel may have written; `visit` gets every block in order, `chunk`
/// every chunk page before it is read. Errors: `kVmallocChain` (cycle, or more or fewer pages than
/// `total_pages`), `kUnaligned`, `kOutsideRam`, `kOrderRange`, and what the callbacks return.
Status WalkVmalloc(const PhysicalMemory& memory, const abi::Vmalloc& vmalloc,
                   FunctionRef<Status(Block block)> visit,
                   FunctionRef<Status(PageFrame chunk)> chunk);

}  // namespace khocore
