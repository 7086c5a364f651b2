// SPDX-License-Identifier: BSD-3-Clause
//
// Writes a tree of fragments, checks it as an incoming handover and reads it again. Made for
// counting instructions:
//     valgrind --tool=callgrind bazel-bin/khocore/testing/fragment_benchmark 1000

#include <stdio.h>
#include <stdlib.h>

#include <string>
#include <vector>

#include "khocore/testing/test_handover.h"

namespace khocore {
namespace {

constexpr uint64_t kFanOut = 2;
constexpr size_t kPayload = 512;

PhysRange Write(TestHandover& handover, uint64_t id, const std::vector<PhysRange>& written) {
  static const std::vector<uint8_t> payload(kPayload, 0xaa);
  FragmentWriter writer(handover.machine.memory, handover.machine.pages, handover.tracker,
                        "khorig-tree-v1");
  (void)writer.PropertyU64("id", id);
  (void)writer.Property("payload", {payload.data(), payload.size()});
  for (uint64_t i = 1; i <= kFanOut; ++i) {
    const uint64_t child = id * kFanOut + i;
    if (child >= written.size()) break;
    (void)writer.Link(("f" + std::to_string(child)).c_str(), written[child].begin, kPageSize);
  }
  return {writer.Close().value().address(), kPageSize};
}

uint64_t Read(TestHandover& handover, PhysRange blob) {
  const FragmentReader reader = FragmentReader::Open(handover.machine.memory, blob).value();
  uint64_t count = 1;
  (void)reader.ForEachSubnode(reader.root(), [&](FragmentNode node, const char*) -> Status {
    count += Read(handover, reader.Link(node).value());
    return Ok{};
  });
  return count;
}

int Run(uint64_t count) {
  TestHandover handover;
  std::vector<PhysRange> written(count);
  for (uint64_t id = count; id-- > 0;) written[id] = Write(handover, id, written);
  handover.AddClient("tree", written[0]);
  FrameTable& frames = handover.machine.NewFrames();
  const HandoverSummary summary =
      CheckHandover(handover.machine.memory, Addr(handover.root()), handover.machine.scratch,
                    frames, [](const Error&) { return false; });
  const uint64_t read = Read(handover, written[0]);
  printf("%lu fragments checked, %lu read\n", summary.fragments, read);
  return summary.fragments == count + 1 && read == count ? 0 : 1;
}

}  // namespace
}  // namespace khocore

int main(int argc, char** argv) {
  return khocore::Run(argc > 1 ? strtoull(argv[1], nullptr, 10) : 1000);
}
