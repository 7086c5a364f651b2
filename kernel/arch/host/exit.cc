// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/exit.h"

#include <stdlib.h>

namespace arch {

void Exit(ExitStatus status) { exit(static_cast<int>(status)); }

}  // namespace arch
