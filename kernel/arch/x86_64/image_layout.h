// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

/// Addresses that kernel.lds.S and start.S define. Only the addresses mean anything, not the bytes.
extern "C" {
extern const uint8_t __image_begin[];  ///< text, read and execute
extern const uint8_t __text_end[];     ///< constants, read
extern const uint8_t __rodata_end[];   ///< data, read and write
extern const uint8_t __image_end[];
extern const uint8_t __stack_guard[];  ///< a page that is never mapped, then the stack
extern const uint8_t __stack_begin[];
extern const uint8_t __stack_end[];
}
