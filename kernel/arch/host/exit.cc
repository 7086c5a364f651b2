// SPDX-License-Identifier: BSD-3-Clause
#include <stdlib.h>

#include "kernel/arch/arch.h"

namespace arch {

void Exit(ExitStatus status) { exit(static_cast<int>(status)); }

}  // namespace arch
