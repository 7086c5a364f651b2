// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace handover {

/// What `action` prints to the console of the machine `host`, which is standard output.
template <typename Action>
std::string Printed(Action action) {
  testing::internal::CaptureStdout();
  action();
  return testing::internal::GetCapturedStdout();
}

/// How often `part` is in `text`.
inline size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

}  // namespace handover

/// Expects `statement` to end the machine with this status, having printed `pattern`. gtest looks
/// at standard error only.
#define EXPECT_MACHINE_END(statement, status, pattern) \
  EXPECT_EXIT(                                         \
      {                                                \
        dup2(STDERR_FILENO, STDOUT_FILENO);            \
        statement;                                     \
      },                                               \
      testing::ExitedWithCode(static_cast<int>(status)), pattern)
