// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Included before everything else in code that is interleaved: clang's ThreadSanitizer does not
// tell a weak compare-exchange, which may fail without a reason, from a strong one.

#ifdef __cplusplus
extern "C" bool khocore_weak_exchange_fails();

#define __atomic_compare_exchange_n(place, expected, desired, is_weak, order, failure_order) \
  (!((is_weak) && khocore_weak_exchange_fails()) &&                                          \
   __atomic_compare_exchange_n(place, expected, desired, is_weak, order, failure_order))
#endif
