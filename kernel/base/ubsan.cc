// SPDX-License-Identifier: BSD-3-Clause
//
// What code compiled with -fsanitize=undefined calls instead of doing what the language does not
// define: each handler is a panic that names the defect and its line. The handlers and their data
// are the compiler's interface (compiler-rt's lib/ubsan/ubsan_handlers.h, LLVM 19); nothing refers
// to them by header.

#include <stddef.h>
#include <stdint.h>

#include "kernel/base/panic.h"

#define KHORIG_UBSAN extern "C" __attribute__((used, noreturn))

namespace {

using base::Panic;

struct Location {
  const char* file;
  uint32_t line;
  uint32_t column;
};

struct Type {
  uint16_t kind;  ///< `kInteger`, or what has no value to print
  uint16_t info;  ///< of an integer: the logarithm of its bits times 2, and 1 if it is signed
  char name[1];   ///< in quotes
};
constexpr uint16_t kInteger = 0;

/// An integer of up to 64 bits, or the address of a larger one.
using Value = uintptr_t;

struct AtLocation {
  Location location;
};
struct OfType {
  Location location;
  const Type& type;
};
struct OfTwoTypes {
  Location location;
  const Type& first;
  const Type& second;
};
struct TypeMismatch {
  Location location;
  const Type& type;
  uint8_t alignment_log2;
  uint8_t access;
};
/// Of `TypeMismatch::access`, in the compiler's order.
constexpr const char* kAccesses[] = {
    "load of",
    "store to",
    "reference to",
    "member access within",
    "member call on",
    "constructor call on",
    "downcast of",
    "downcast of",
    "upcast of",
    "cast to virtual base of",
    "_Nonnull binding of",
    "dynamic operation on",
};

unsigned Bits(const Type& type) { return 1u << (type.info >> 1); }
bool IsSigned(const Type& type) { return type.kind == kInteger && (type.info & 1) != 0; }

/// The value with its sign; what is larger than a register is not looked at.
int64_t Number(const Type& type, Value value) {
  if (!IsSigned(type) || Bits(type) >= 64) return static_cast<int64_t>(value);
  const unsigned unused = 64 - Bits(type);
  return static_cast<int64_t>(value << unused) >> unused;
}

[[noreturn]] void Overflow(const OfType& data, char operation, Value left, Value right) {
  Panic("undefined behavior: signed overflow: %ld %c %ld in %s (%s:%u)", Number(data.type, left),
        operation, Number(data.type, right), data.type.name, data.location.file,
        data.location.line);
}

[[noreturn]] void Fail(const char* what, const Location& location) {
  Panic("undefined behavior: %s (%s:%u)", what, location.file, location.line);
}

}  // namespace

KHORIG_UBSAN void __ubsan_handle_type_mismatch_v1_abort(const TypeMismatch& data, Value pointer) {
  const uint64_t alignment = uint64_t{1} << data.alignment_log2;
  const char* what = "object too small";
  if (pointer == 0) {
    what = "null pointer";
  } else if (pointer % alignment != 0) {
    what = "misaligned address";
  }
  Panic("undefined behavior: %s: %s %s at 0x%lx (%s:%u)", what, kAccesses[data.access],
        data.type.name, pointer, data.location.file, data.location.line);
}

KHORIG_UBSAN void __ubsan_handle_alignment_assumption_abort(const OfType& data, Value pointer,
                                                            Value alignment, Value) {
  Panic("undefined behavior: misaligned address: 0x%lx is no multiple of %lu (%s:%u)", pointer,
        alignment, data.location.file, data.location.line);
}

KHORIG_UBSAN void __ubsan_handle_add_overflow_abort(const OfType& data, Value left, Value right) {
  Overflow(data, '+', left, right);
}

KHORIG_UBSAN void __ubsan_handle_sub_overflow_abort(const OfType& data, Value left, Value right) {
  Overflow(data, '-', left, right);
}

KHORIG_UBSAN void __ubsan_handle_mul_overflow_abort(const OfType& data, Value left, Value right) {
  Overflow(data, '*', left, right);
}

KHORIG_UBSAN void __ubsan_handle_divrem_overflow_abort(const OfType& data, Value left,
                                                       Value right) {
  if (right == 0) Fail("division by zero", data.location);
  Overflow(data, '/', left, right);
}

KHORIG_UBSAN void __ubsan_handle_negate_overflow_abort(const OfType& data, Value value) {
  Overflow(data, '-', 0, value);
}

KHORIG_UBSAN void __ubsan_handle_shift_out_of_bounds_abort(const OfTwoTypes& data, Value left,
                                                           Value right) {
  Panic("undefined behavior: shift: %ld by %ld in %s (%s:%u)", Number(data.first, left),
        Number(data.second, right), data.first.name, data.location.file, data.location.line);
}

KHORIG_UBSAN void __ubsan_handle_out_of_bounds_abort(const OfTwoTypes& data, Value index) {
  Panic("undefined behavior: index out of bounds: %ld in %s (%s:%u)", Number(data.second, index),
        data.first.name, data.location.file, data.location.line);
}

KHORIG_UBSAN void __ubsan_handle_load_invalid_value_abort(const OfType& data, Value value) {
  Panic("undefined behavior: invalid value: %lu in %s (%s:%u)", value, data.type.name,
        data.location.file, data.location.line);
}

KHORIG_UBSAN void __ubsan_handle_pointer_overflow_abort(const AtLocation& data, Value base,
                                                        Value result) {
  Panic("undefined behavior: pointer overflow: from 0x%lx to 0x%lx (%s:%u)", base, result,
        data.location.file, data.location.line);
}

KHORIG_UBSAN void __ubsan_handle_builtin_unreachable(const AtLocation& data) {
  Fail("unreachable code", data.location);
}

KHORIG_UBSAN void __ubsan_handle_missing_return(const AtLocation& data) {
  Fail("no return value", data.location);
}

KHORIG_UBSAN void __ubsan_handle_invalid_builtin_abort(const AtLocation& data) {
  Fail("zero passed to a builtin that counts zeros", data.location);
}

KHORIG_UBSAN void __ubsan_handle_nonnull_arg_abort(const AtLocation& data) {
  Fail("null pointer passed to a parameter that must not be null", data.location);
}

KHORIG_UBSAN void __ubsan_handle_nonnull_return_v1_abort(const AtLocation&,
                                                         const Location& location) {
  Fail("null pointer returned by a function that must not", location);
}
