// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

namespace khocore {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

/// Converts a number of a flattened device tree to the CPU's byte order, or back.
constexpr uint32_t BigEndian(uint32_t value) { return __builtin_bswap32(value); }

}  // namespace khocore
