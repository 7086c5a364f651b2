// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "khocore/types.h"

namespace arch {

inline constexpr uint64_t kGrainSize = uint64_t{2} << 20;
inline constexpr uint64_t kGigabyte = uint64_t{1} << 30;

/// Level 1 entry that maps the gigabyte at `address` to itself as RAM that may be written and
/// executed: for the copy of the next kernel, which runs with tables of its own.
uint64_t TransitionEntry(khocore::PhysAddr address);

/// Lets the identity-mapped RAM around `address` be executed. It stays writable.
void MakeExecutable(khocore::PhysAddr address);

/// Cleans and invalidates the data cache for `range` to the point of coherency, where a kernel that
/// runs without caches sees it.
void CleanToMemory(khocore::PhysRange range);

/// Fills the level 1 table on which a started CPU turns its MMU on: the gigabytes of the image,
/// where it lies, and of `data` to themselves, and the image at its own address. Both clean to
/// memory. Returns the physical address of the table that the CPU goes on with.
uint64_t FillStartTable(khocore::PhysRange image, khocore::PhysRange data, uint64_t* table);

}  // namespace arch
