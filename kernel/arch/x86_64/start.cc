// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/start.h"

#include "kernel/arch/x86_64/image_layout.h"
#include "kernel/arch/x86_64/mmu.h"

namespace arch {

khocore::PhysRange ImageInMemory() {
  return {LoadAddress(), static_cast<uint64_t>(__image_end - __image_begin)};
}

}  // namespace arch
