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

/// Writes the list of `blocks`, all of one order, as a chain of chunk pages in Linux's vmalloc
/// form. Nothing is preserved yet. A list without blocks has no chunk. Errors: `kVmallocChain` when
/// the pages do not fit `total_pages`, `kOutOfMemory`, `kOutsideRam`, `kOrderRange`; on error no
/// page is lost.
Result<abi::Vmalloc> WriteVmalloc(const PhysicalMemory& memory, PageSource& pages,
                                  Span<const PageFrame> blocks, Order order);

/// Preserves the blocks and the chunk pages of a chain where they lie. Errors: as `WalkVmalloc`,
/// and what `Tracker::Preserve` says; on error nothing of it stays preserved.
Status PreserveVmalloc(const PhysicalMemory& memory, Tracker& tracker, const abi::Vmalloc& vmalloc);

/// Walks a chain that another kernel may have written; `visit` gets every block in order, `chunk`
/// every chunk page before it is read. A last chunk without blocks is accepted, because Linux
/// writes one after a full chunk. Errors: `kVmallocChain` (cycle, more or fewer pages than
/// `total_pages`, a chunk behind one that is not full; `where` is the chunk), `kUnaligned` and
/// `kOutsideRam` (of a chunk or block), `kOrderRange`, and what the callbacks return.
Status WalkVmalloc(const PhysicalMemory& memory, const abi::Vmalloc& vmalloc,
                   FunctionRef<Status(Block block)> visit,
                   FunctionRef<Status(PageFrame chunk)> chunk);

}  // namespace khocore
