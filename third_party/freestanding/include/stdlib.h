// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>

// What libfdt and xxhash use of <stdlib.h>. The kernel defines strtoul; malloc and free are only
// named by functions of xxhash that nobody calls, so using them fails to link.

#ifdef __cplusplus
extern "C" {
#endif

unsigned long strtoul(const char* string, char** end, int base);
void* malloc(size_t size);
void free(void* memory);

#ifdef __cplusplus
}
#endif
