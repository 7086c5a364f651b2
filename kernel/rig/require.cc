// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/rig/require.h"

#include "kernel/arch/exit.h"
#include "kernel/rig/event.h"

namespace rig {
namespace {

using khocore::Error;

[[noreturn]] void EndWithFailure(const Error& error, const char* what) {
  KHORIG_FAIL(what, "%s at 0x%lx: found 0x%lx, expected 0x%lx", khocore::ErrorName(error.code),
              error.where.raw(), error.found, error.expected);
  Event("done").Text("status", "fail");
  arch::Exit(arch::ExitStatus::kFail);
}

}  // namespace

void Require(const khocore::Status& status, const char* what) {
  if (!status.ok()) EndWithFailure(status.error(), what);
}

void RequireMissing(const char* what) {
  EndWithFailure(Error{khocore::ErrorCode::kNotFound}, what);
}

}  // namespace rig
