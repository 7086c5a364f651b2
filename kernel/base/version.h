// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace base {

/// What the kernel calls itself; the next kernel finds it in the generation record.
inline constexpr char kVersion[] = "0.1.0";
inline constexpr char kRelease[] = "khorig-0.1.0";

}  // namespace base
