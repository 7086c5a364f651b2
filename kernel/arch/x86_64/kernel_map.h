// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "kernel/arch/x86_64/page_tables.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace arch {

/// What the CPU has.
struct PagingFeatures {
  uint64_t no_execute;  ///< `kNoExecute`, or 0 where there is no such bit
  bool huge_pages;
  uint64_t limit;  ///< the end of what can be addressed and identity-mapped, a multiple of 2 MiB
};

/// The parts of the image that have rights of their own, as offsets from its begin.
struct ImageParts {
  uint64_t text_end;
  uint64_t rodata_end;
  uint64_t image_end;
  uint64_t stack_guard;  ///< a page
};

/// Identity-maps `range`, read and write; `flags` are `kWriteThrough` and `kCacheDisable` or none,
/// and are added to what is mapped already. A GiB that is RAM throughout takes an entry where the
/// CPU has such pages, any other a table of 2 MiB pages. `*changed` is set when an entry in use was
/// changed, so that what any CPU has cached of it must go. Errors: `kOutOfMemory` without a table,
/// `kOverlap` when `flags` are wanted in a page of 1 GiB, `kOutsideRam` beyond the limit.
khocore::Status MapIdentity(PageTables& tables, const PagingFeatures& features,
                            khocore::PhysRange range, uint64_t flags,
                            PageTables::NewTable new_table, bool* changed);

/// Gives each part of the image its own rights, maps nothing behind it, and forbids execution in
/// the identity map of the first 4 GiB and of the image at `load_address`, which had to be
/// executable because the CPU came from there. The caller invalidates translations.
void ProtectImage(PageTables& tables, const PagingFeatures& features, uint64_t load_address,
                  const ImageParts& parts);

/// Maps `kCpuStackBytes` from `memory` on as the stack of the CPU `number`. False without a table.
[[nodiscard]] bool MapCpuStack(PageTables& tables, const PagingFeatures& features, size_t number,
                               khocore::PhysAddr memory, PageTables::NewTable new_table);

}  // namespace arch
