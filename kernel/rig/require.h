// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "khocore/result.h"

namespace rig {

/// Ends the run with a `fail` event and status 35 when `status` is an error: the generation cannot
/// go on without `what`.
void Require(const khocore::Status& status, const char* what);

/// As `Require` for something that is not there.
[[noreturn]] void RequireMissing(const char* what);

/// As `Require`, returning the value.
template <typename T>
T Require(const khocore::Result<T>& result, const char* what) {
  if (!result.ok()) Require(khocore::Status(result.error()), what);
  return result.value();
}

}  // namespace rig
