// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/types.h"

namespace arch {

/// Moves the console to the PL011 at `base`, which `MapDevice` has mapped, and switches it on if it
/// is off. Until then the console is the one of QEMU's virt machine.
void UseConsole(khocore::PhysAddr base);

/// Where the console is before anything is known.
inline constexpr khocore::PhysAddr kDefaultConsole = khocore::PhysAddr::FromRaw(0x09000000);

}  // namespace arch
