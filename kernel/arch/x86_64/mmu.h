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

/// Makes the identity map around `page` executable: the last thing before code that leaves the
/// kernel is called there, by this CPU. `page` is mapped.
void MakeExecutable(khocore::PhysAddr page);

/// Whether the CPU has pages of 1 GiB.
bool HasHugePages();

/// The entry of the topmost page table through which the image is mapped.
uint64_t ImageEntry();

/// Bytes that firmware has left: those lie below 4 GiB, where everything is mapped from the start.
/// Null beyond.
const void* FindFirmwareBytes(khocore::PhysRange range);

}  // namespace arch
