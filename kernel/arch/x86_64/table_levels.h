// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/arch/x86_64/page_tables.h"

namespace arch {

/// Tables that `ChangeLevels` takes at most.
inline constexpr size_t kMaxTopTables = 3;

/// Builds topmost tables with `to` levels, 4 or 5, over the lower ones of the tables at `root`,
/// which have the other number of levels and stay as they are. The lowest and the highest 128 TiB,
/// which is all that four levels reach, are mapped as before. Tables are read and written through
/// `window` (PageTables). Of the entries that lead from one table to the next only the address is
/// used: the other bits, those left to software included, are no part of it. Returns the physical
/// address of the topmost table, or 0 when `new_table` has no page.
uint64_t ChangeLevels(uint64_t root, unsigned to, uint64_t window, PageTables::NewTable new_table);

}  // namespace arch
