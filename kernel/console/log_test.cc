// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/console/log.h"

#include <gtest/gtest.h>
#include <string.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "kernel/console/print.h"
#include "kernel/handover/testing/printed.h"

namespace console {
namespace {

using handover::Printed;
using khocore::abi::kLogMagic;
using khocore::abi::LogHeader;

struct Ring {
  LogHeader header{kLogMagic, sizeof(bytes), 0, 0};
  char bytes[16] = {};
  char behind[8] = "behind!";

  std::string Text() const { return {bytes, sizeof(bytes)}; }
};

/// Rings are used in the order of the tests; none goes away while the log may be in it.
Ring& NewRing() {
  static std::vector<std::unique_ptr<Ring>> rings;
  rings.push_back(std::make_unique<Ring>());
  UseLogRing(&rings.back()->header);
  return *rings.back();
}

TEST(Log, KeepsWhatWasPrintedBeforeItsRing) {
  Printed([] { Print("early %d\n", 1); });
  const Ring& ring = NewRing();
  EXPECT_EQ(ring.header.written, 8u);
  EXPECT_EQ(ring.Text().substr(0, 8), "early 1\n");
}

TEST(Log, GoesRound) {
  Ring& ring = NewRing();
  ring.header.written = 0;
  for (char c = 'a'; c <= 'z'; ++c) AppendToLog(c);
  EXPECT_EQ(ring.header.written, 26u);
  EXPECT_EQ(ring.Text(), "qrstuvwxyzklmnop");
  EXPECT_STREQ(ring.behind, "behind!");
  const Ring& next = NewRing();
  EXPECT_EQ(next.Text(), "klmnopqrstuvwxyz") << "the newest, in their order";
}

TEST(Log, TakesWhatPrintConsoleDoesNot) {
  Ring& ring = NewRing();
  const uint64_t written = ring.header.written;
  EXPECT_EQ(Printed([] { PrintConsole("only the console\n"); }), "only the console\n");
  EXPECT_EQ(ring.header.written, written);
  EXPECT_EQ(Printed([] { Print("both\n"); }), "both\n");
  EXPECT_EQ(ring.header.written, written + 5);
}

/// The last test: nothing thaws the log.
TEST(Log, StaysAsItWasFrozen) {
  Ring& ring = NewRing();
  const std::string before = ring.Text();
  const uint64_t written = ring.header.written;
  FreezeLog();
  EXPECT_EQ(Printed([] { Print("more\n"); }), "more\n");
  EXPECT_EQ(ring.header.written, written);
  EXPECT_EQ(ring.Text(), before);
}

}  // namespace
}  // namespace console
