// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>

// What libfdt and xxhash use of <string.h>; the kernel defines these functions.

#ifdef __cplusplus
extern "C" {
#endif

void* memchr(const void* bytes, int byte, size_t size);
int memcmp(const void* a, const void* b, size_t size);
void* memcpy(void* to, const void* from, size_t size);
void* memmove(void* to, const void* from, size_t size);
void* memset(void* to, int byte, size_t size);
char* strchr(const char* string, int c);
int strcmp(const char* a, const char* b);
size_t strlen(const char* string);
int strncmp(const char* a, const char* b, size_t size);
size_t strnlen(const char* string, size_t size);
char* strrchr(const char* string, int c);

#ifdef __cplusplus
}
#endif

// -ffreestanding makes these plain calls; as builtins, a copy of eight bytes is one instruction.
#define memcmp __builtin_memcmp
#define memcpy __builtin_memcpy
#define memset __builtin_memset
#define strlen __builtin_strlen
