// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace arch {

/// How often the kernel looks at a device or at another CPU that does not answer before it goes on
/// without it.
inline constexpr unsigned kMaxPolls = 1 << 20;

}  // namespace arch
