// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <errno.h>
#include <gtest/gtest.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "kernel/arch/exit.h"

/// Expects that `statement` ends the machine with this `arch::ExitStatus`, and that what it prints
/// to the console matches the regular expression `text`.
#define EXPECT_ENDS(statement, status, text) \
  EXPECT_EXIT(                               \
      {                                      \
        dup2(STDERR_FILENO, STDOUT_FILENO);  \
        statement;                           \
      },                                     \
      testing::ExitedWithCode(static_cast<int>(arch::ExitStatus::status)), text)

namespace arch {

/// Runs `kernel` in a process of its own, as each kernel has its own static data, and fails the
/// running test when an expectation in it does.
template <typename Kernel>
void Boot(Kernel kernel) {
  fflush(nullptr);
  const pid_t child = fork();
  ASSERT_GE(child, 0) << strerror(errno);
  if (child == 0) {
    kernel();
    fflush(nullptr);
    _exit(testing::Test::HasFailure() ? EXIT_FAILURE : EXIT_SUCCESS);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), EXIT_SUCCESS) << "see its output above";
}

}  // namespace arch
