// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "khocore/types.h"

namespace arch {

/// Where the running image was loaded.
khocore::PhysAddr LoadAddress();

/// The physical address of something in the running image.
khocore::PhysAddr PhysicalOf(const void* image_address);

/// Drops what this CPU has cached of the tables. Another one that runs on them has to call it, too.
void InvalidateTranslations();

/// Maps `kCpuStackBytes` from `memory` on as the stack of the CPU `number`.
void MapCpuStack(size_t number, khocore::PhysAddr memory);

/// Makes the identity map around `page`, which is mapped, executable or not again: around code that
/// this CPU leaves the kernel through.
void SetExecutable(khocore::PhysAddr page, bool executable);

/// Whether the CPU has pages of 1 GiB.
bool HasHugePages();

/// The entry through which the topmost of the kernel's page tables, at `root`, maps the image.
uint64_t ImageEntry(uint64_t root);

/// New topmost tables with `levels` levels, 4 or 5, which is not the present number, over those
/// that the kernel runs on. Returns what CR3 is to be, or 0 when no table is left.
uint64_t NewTables(unsigned levels);

/// Bytes that firmware has left: those lie below 4 GiB, where everything is mapped from the start.
/// Null beyond.
const void* FindFirmwareBytes(khocore::PhysRange range);

}  // namespace arch
