// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/cpus/panic.h"

#include <gtest/gtest.h>

#include <string>

#include "kernel/arch/exceptions.h"
#include "kernel/arch/exit.h"
#include "kernel/base/panic.h"
#include "kernel/handover/testing/printed.h"

namespace cpus {
namespace {

using arch::ExitStatus;

TEST(Panic, SaysWhyAndFromWhere) {
  EXPECT_MACHINE_END(base::Panic("%s is %u", "it", 7u), ExitStatus::kPanic,
                     "\"ev\":\"panic\".*\"text\":\"it is 7\"}\nbacktrace:\n  [0-9a-f]{16} ");
}

TEST(Panic, CutsATextThatIsTooLong) {
  const std::string text(1000, 'x');
  EXPECT_MACHINE_END(base::Panic("%s", text.c_str()), ExitStatus::kPanic,
                     ("\"text\":\"" + std::string(255, 'x') + "\"}").c_str());
}

TEST(Panic, APanicInAPanicEndsIt) {
  const auto panic_again = [] {
    cpus::kExceptionHandlers.panic(
        {.what = "first",
         .print_registers = [](arch::PrintFunction, const void*) { base::Panic("second"); }});
  };
  // The machine host halts by abort().
  EXPECT_EXIT(
      {
        dup2(STDERR_FILENO, STDOUT_FILENO);
        panic_again();
      },
      testing::KilledBySignal(SIGABRT), "first");
}

TEST(Panic, AnExceptionIsOneWithItsCauseAddressAndRegisters) {
  EXPECT_MACHINE_END(kExceptionHandlers.panic(
                         {.what = "page fault",
                          .cause = "write",
                          .has_address = true,
                          .address = 0xdead000,
                          .origin = " in user mode",
                          .pc = 0x1234,
                          .print_registers = [](arch::PrintFunction print,
                                                const void*) { print("registers %d\n", 1); }}),
                     ExitStatus::kPanic,
                     "\"text\":\"page fault \\(write\\) at address 0xdead000 in user mode at "
                     "\\?\\+0x0\",\"pc\":\"0x1234\"}\nregisters 1\nbacktrace:\n"
                     "  0000000000001234 \\?\\+0x0");
}

TEST(Panic, AnExceptionWithoutMoreIsShort) {
  EXPECT_MACHINE_END(kExceptionHandlers.panic({.what = "trap", .pc = 1}), ExitStatus::kPanic,
                     "\"text\":\"trap at \\?\\+0x0\"");
}

TEST(Check, PanicsWithItsCondition) {
  EXPECT_MACHINE_END(
      {
        const int two = 2;
        KHORIG_CHECK(two == 3);
      },
      ExitStatus::kPanic, "two == 3");
}

}  // namespace
}  // namespace cpus
