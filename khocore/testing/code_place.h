// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>

namespace khocore {

/// Function, file and line that an address of this program returns to, as far as addr2line knows
/// them.
std::string CodePlace(const void* code);

}  // namespace khocore
