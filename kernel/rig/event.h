// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "kernel/console/console_lock.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace rig {

/// The generation that events carry. Set once, early; 1 before that.
void SetEventGeneration(uint32_t generation);

/// One line of the console protocol (docs/abi.md), printed when it goes out of scope. Goes to the
/// console alone, never to the log ring.
class Event {
 public:
  explicit Event(const char* name);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  Event& Number(const char* key, uint64_t value);
  Event& Hex(const char* key, uint64_t value);
  Event& Bool(const char* key, bool value);
  Event& Text(const char* key, const char* value);
  /// An object or array: its opening bracket here, members or items next, then `End`.
  Event& Begin(const char* key, char bracket);
  Event& End(char bracket);
  /// An element of an array.
  Event& Item(uint64_t value);
  Event& ItemText(const char* value);
  Event& ItemBegin(char bracket);

 private:
  console::ConsoleLock lock_;
  void Key(const char* key);
  void Comma();
  bool first_ = false;
};

/// The `fail` event: the guest found something wrong. The run goes on; it ends with status 35.
void Fail(const char* file, int line, const char* what, const char* format, ...)
    __attribute__((format(printf, 4, 5)));
/// Whether `Fail` was called in this generation.
bool HasFailed();

/// The `error` event, and the end of the machine with `status`: the request cannot be carried out.
enum class RequestError { kNoMemory, kUsage };
[[noreturn]] void EndWithError(RequestError error, const char* cause, const char* format, ...)
    __attribute__((format(printf, 3, 4)));

}  // namespace rig

/// Reports that `what` went wrong, with the place in the source.
#define KHORIG_FAIL(what, ...) ::rig::Fail(__FILE__, __LINE__, what, __VA_ARGS__)
