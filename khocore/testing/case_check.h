// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdio.h>
#include <stdlib.h>

/// Aborts with the place when `condition` is false, so that a fuzzer keeps the input.
#define CASE_CHECK(condition)                                                   \
  do {                                                                          \
    if (!(condition)) {                                                         \
      fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      abort();                                                                  \
    }                                                                           \
  } while (0)
