// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "khocore/check.h"
#include "khocore/fragment_reader.h"
#include "khocore/fragment_writer.h"
#include "khocore/outgoing.h"
#include "khocore/testing/test_machine.h"
#include "khocore/tracker.h"

namespace khocore {

/// What a check said.
struct CheckResult {
  HandoverSummary summary;
  std::vector<Error> findings;
};

/// A handover as a kernel makes it, in a small machine, and the means to break it. Blocks are taken
/// from the machine's free part, in its order.
class TestHandover {
 public:
  using Links = std::vector<std::pair<std::string, PhysRange>>;

  TestHandover();

  /// A preserved block of this order that nothing else has. `data` begins it.
  PhysRange Blob(unsigned order, const std::string& data = "");
  /// A fragment with these links, as a link's target.
  PhysRange Fragment(const Links& links);
  /// A fragment without any link, as Linux's clients write them.
  PhysRange LinuxFragment();
  void AddClient(const char* name, PhysRange blob);

  uint64_t root() { return outgoing.root().address().raw(); }
  void* root_fdt() { return machine.At(root()); }
  /// The node at `path` of the FDT at `address`.
  int NodeAt(uint64_t address, const char* path);
  /// Where findings about this node are.
  uint64_t NodeAddress(uint64_t address, const char* path);
  /// Changes a property's value, whose length stays.
  void SetU64(uint64_t address, const char* path, const char* property, uint64_t value);
  /// Takes a property out without moving anything else.
  void RemoveProperty(uint64_t address, const char* path, const char* property);

  /// The address of the tree's node on the way to `block`'s bit, `level` from 5 (the root) to 0,
  /// and the address of the slot at that level, which is not 0.
  uint64_t NodeOf(Block block, unsigned level);
  uint64_t SlotOf(Block block, unsigned level);
  /// Sets the bit of a block, whatever the tracker thinks of it. Its leaf exists.
  void SetBit(Block block);

  /// Runs the check on read-only RAM until it is through, and sees to it that only claims are left
  /// in the frame table.
  CheckResult Check() { return CheckAt(root()); }
  CheckResult CheckAt(uint64_t root);
  /// The same with this frame table.
  CheckResult CheckWith(uint64_t root, FrameTable& frames);

  TestMachine machine;
  Tracker tracker;
  Outgoing outgoing;

 private:
  uint64_t next_ = TestMachine::kFree;
};

/// A handover with a client of every kind.
void AddSampleClients(TestHandover& handover);

}  // namespace khocore

/// Expects exactly one finding, and that opening it as the incoming handover says the same.
#define EXPECT_FINDING(handover, expected_code, expected_where) \
  ::khocore::ExpectFinding(handover, (handover).root(), expected_code, expected_where)

namespace khocore {
void ExpectFinding(TestHandover& handover, uint64_t root, ErrorCode code, uint64_t where);
}  // namespace khocore
