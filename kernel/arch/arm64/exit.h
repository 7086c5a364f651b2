// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace arch {

/// For the exception handler: if `Exit`'s HLT trapped (no semihosting), falls back to PSCI
/// SYSTEM_OFF and does not return.
void ContinueExit();

}  // namespace arch
