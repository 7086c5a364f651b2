// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace arch {

/// For the exception handler. When the exception came out of `Exit`, because this machine does not
/// know the instruction, goes on with the next way to end and does not return.
void ContinueExit();

}  // namespace arch
