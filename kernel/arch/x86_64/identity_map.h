// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/page_source.h"
#include "khocore/physical_memory.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace arch {

/// Builds the tables that the relocator runs on and the next kernel starts on: one to one, read,
/// write and execute, everything below 4 GiB and all RAM above, by pages of 1 GiB where `huge`
/// says that the CPU has them. Their pages come from `pages`, lie
/// in `ram` and so map themselves: Linux's decompressor reads the table that CR3 names before it
/// has any other (initialize_identity_maps() in arch/x86/boot/compressed/ident_map_64.c). Returns
/// the address of the topmost table. Nobody frees the pages: the jump follows. Errors:
/// `kOutOfMemory`.
khocore::Result<khocore::PhysAddr> BuildIdentityMap(unsigned levels, bool huge,
                                                    const khocore::PhysicalMemory& ram,
                                                    khocore::PageSource& pages);

}  // namespace arch
