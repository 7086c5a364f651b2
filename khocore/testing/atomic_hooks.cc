// SPDX-License-Identifier: BSD-3-Clause
//
// What clang calls for each access to memory in code that is compiled for ThreadSanitizer. It
// stands in place of ThreadSanitizer's runtime, so that code under test needs no change to be
// interleaved.

#include <stdint.h>
#include <string.h>

#include "khocore/testing/interleavings.h"

// NOLINTBEGIN(bugprone-macro-parentheses)

namespace {

using khocore::AtomicOperation;
using khocore::Interleavings;
using Kind = AtomicOperation::Kind;

#define CODE __builtin_return_address(0)

void Access(const void* address, size_t size, bool is_write, const void* code) {
  if (Interleavings* run = Interleavings::Current()) run->Access(address, size, is_write, code);
}

/// What an operation does where nothing is interleaved.
template <typename T>
T ExecuteHere(const AtomicOperation& operation) {
  T* place = static_cast<T*>(operation.address);
  T expected = static_cast<T>(operation.expected);
  const T operand = static_cast<T>(operation.operand);
  switch (operation.kind) {
    case Kind::kLoad:
      return __atomic_load_n(place, __ATOMIC_SEQ_CST);
    case Kind::kStore:
      __atomic_store_n(place, operand, __ATOMIC_SEQ_CST);
      return 0;
    case Kind::kExchange:
      return __atomic_exchange_n(place, operand, __ATOMIC_SEQ_CST);
    case Kind::kAdd:
      return __atomic_fetch_add(place, operand, __ATOMIC_SEQ_CST);
    case Kind::kAnd:
      return __atomic_fetch_and(place, operand, __ATOMIC_SEQ_CST);
    case Kind::kOr:
      return __atomic_fetch_or(place, operand, __ATOMIC_SEQ_CST);
    case Kind::kXor:
      return __atomic_fetch_xor(place, operand, __ATOMIC_SEQ_CST);
    case Kind::kCompareExchange:
      __atomic_compare_exchange_n(place, &expected, operand, false, __ATOMIC_SEQ_CST,
                                  __ATOMIC_SEQ_CST);
      return expected;
    case Kind::kFence:
    case Kind::kDoubt:
      return 0;
  }
  __builtin_unreachable();
}

template <typename T>
T Execute(Kind kind, const volatile T* place, uint64_t operand, uint64_t expected, int order,
          int failure_order, const void* code) {
  constexpr int kOrders = 0x7fff;  // without the bits that only optimizers know
  AtomicOperation operation;
  operation.kind = kind;
  operation.size = sizeof(T);
  operation.order = order & kOrders;
  operation.failure_order = failure_order & kOrders;
  operation.address = const_cast<T*>(place);
  operation.operand = operand;
  operation.expected = expected;
  operation.code = code;
  Interleavings* run = Interleavings::Current();
  return run == nullptr ? ExecuteHere<T>(operation) : static_cast<T>(run->Execute(operation));
}

}  // namespace

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(const void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_read(const void* address) { Access(address, sizeof(address), false, CODE); }
void __tsan_vptr_update(const void* address, void*) {
  Access(address, sizeof(address), true, CODE);
}
void __tsan_atomic_signal_fence(int) {}

#define PLAIN(size)                                                                             \
  void __tsan_read##size(const void* address) { Access(address, size, false, CODE); }           \
  void __tsan_write##size(const void* address) { Access(address, size, true, CODE); }           \
  void __tsan_unaligned_read##size(const void* address) { Access(address, size, false, CODE); } \
  void __tsan_unaligned_write##size(const void* address) { Access(address, size, true, CODE); }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

void* __tsan_memset(void* to, int value, size_t size) {
  Access(to, size, true, CODE);
  return memset(to, value, size);
}
void* __tsan_memcpy(void* to, const void* from, size_t size) {
  Access(from, size, false, CODE);
  Access(to, size, true, CODE);
  return memcpy(to, from, size);
}
void* __tsan_memmove(void* to, const void* from, size_t size) {
  Access(from, size, false, CODE);
  Access(to, size, true, CODE);
  return memmove(to, from, size);
}

#define FETCH(bits, name, kind)                                                    \
  uint##bits##_t __tsan_atomic##bits##_##name(volatile uint##bits##_t* place,      \
                                              uint##bits##_t operand, int order) { \
    return Execute(Kind::kind, place, operand, 0, order, order, CODE);             \
  }
#define ATOMIC(bits)                                                                              \
  uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t* place, int order) {    \
    return Execute(Kind::kLoad, place, 0, 0, order, order, CODE);                                 \
  }                                                                                               \
  void __tsan_atomic##bits##_store(volatile uint##bits##_t* place, uint##bits##_t operand,        \
                                   int order) {                                                   \
    Execute(Kind::kStore, place, operand, 0, order, order, CODE);                                 \
  }                                                                                               \
  FETCH(bits, exchange, kExchange)                                                                \
  FETCH(bits, fetch_add, kAdd)                                                                    \
  FETCH(bits, fetch_and, kAnd)                                                                    \
  FETCH(bits, fetch_or, kOr)                                                                      \
  FETCH(bits, fetch_xor, kXor)                                                                    \
  uint##bits##_t __tsan_atomic##bits##_fetch_sub(volatile uint##bits##_t* place,                  \
                                                 uint##bits##_t operand, int order) {             \
    return Execute(Kind::kAdd, place, uint64_t{0} - operand, 0, order, order, CODE);              \
  }                                                                                               \
  uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(                                      \
      volatile uint##bits##_t* place, uint##bits##_t expected, uint##bits##_t operand, int order, \
      int failure_order) {                                                                        \
    return Execute(Kind::kCompareExchange, place, operand, expected, order, failure_order, CODE); \
  }
ATOMIC(8)
ATOMIC(16)
ATOMIC(32)
ATOMIC(64)

void __tsan_atomic_thread_fence(int order) {
  if (Interleavings::Current() != nullptr) {
    Execute<uint64_t>(Kind::kFence, nullptr, 0, 0, order, order, CODE);
  }
}

/// Asked by weak_exchange.h.
bool khocore_weak_exchange_fails() {
  return Interleavings::Current() != nullptr &&
         Execute<uint64_t>(Kind::kDoubt, nullptr, 0, 0, 0, 0, CODE) != 0;
}

}  // extern "C"

// NOLINTEND(bugprone-macro-parentheses)
