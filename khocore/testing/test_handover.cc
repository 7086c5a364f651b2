// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/testing/test_handover.h"

#include <gtest/gtest.h>
#include <libfdt.h>
#include <string.h>

#include "khocore/abi/clients.h"
#include "khocore/incoming.h"

namespace khocore {

TestHandover::TestHandover()
    : tracker(Tracker::Create(machine.memory, machine.pages).value()),
      outgoing(Outgoing::Create(machine.memory, machine.pages, tracker).value()) {}

PhysRange TestHandover::Blob(unsigned order, const std::string& data) {
  const uint64_t size = kPageSize << order;
  const uint64_t address = AlignUp(next_, size);
  next_ = address + size;
  EXPECT_TRUE(tracker.Preserve(BlockAt(address, order)).ok());
  memcpy(machine.At(address), data.data(), data.size());
  return {Addr(address), size};
}

PhysRange TestHandover::Fragment(const Links& links) {
  FragmentWriter writer(machine.memory, machine.pages, tracker, "test-v1");
  (void)writer.PropertyString("text", "something else");
  for (const auto& [name, blob] : links) (void)writer.Link(name.c_str(), blob.begin, blob.size);
  const Result<PageFrame> page = writer.Close();
  EXPECT_TRUE(page.ok()) << Describe(page);
  return {page.value().address(), kPageSize};
}

PhysRange TestHandover::LinuxFragment() {
  FragmentWriter writer(machine.memory, machine.pages, tracker, abi::kMemblockCompatible);
  (void)writer.BeginNode("name");
  (void)writer.PropertyString("compatible", abi::kReserveMemCompatible);
  (void)writer.PropertyU64("start", TestMachine::kBase);
  (void)writer.PropertyU64("size", 0x1000);
  (void)writer.BeginNode("deeper");
  (void)writer.EndNode();
  (void)writer.EndNode();
  const Result<PageFrame> page = writer.Close();
  EXPECT_TRUE(page.ok()) << Describe(page);
  // Linux says how large the tree is, not the page.
  const uint64_t size = fdt_totalsize(machine.At(page.value().address().raw()));
  return {page.value().address(), size};
}

void TestHandover::AddClient(const char* name, PhysRange blob) {
  const Status added = outgoing.AddClient(name, blob);
  EXPECT_TRUE(added.ok()) << Describe(added);
}

int TestHandover::NodeAt(uint64_t address, const char* path) {
  const int node = fdt_path_offset(machine.At(address), path);
  EXPECT_GE(node, 0) << path;
  return node;
}

uint64_t TestHandover::NodeAddress(uint64_t address, const char* path) {
  return address + fdt_off_dt_struct(machine.At(address)) +
         static_cast<uint64_t>(NodeAt(address, path));
}

void TestHandover::SetU64(uint64_t address, const char* path, const char* property,
                          uint64_t value) {
  EXPECT_EQ(fdt_setprop_inplace(machine.At(address), NodeAt(address, path), property, &value,
                                sizeof(value)),
            0);
}

void TestHandover::RemoveProperty(uint64_t address, const char* path, const char* property) {
  EXPECT_EQ(fdt_nop_property(machine.At(address), NodeAt(address, path), property), 0);
}

uint64_t TestHandover::SlotOf(Block block, unsigned level) {
  const uint64_t key =
      uint64_t{1} << (52 - block.order.log2()) | block.frame.number() >> block.order.log2();
  uint64_t node = tracker.root().address().raw();
  for (unsigned at = 5;; --at) {
    const uint64_t slot = node + (key >> ((at - 1) * 9 + 15) & 511) * 8;
    if (at == level) return slot;
    node = machine.ReadU64(slot);
  }
}

uint64_t TestHandover::NodeOf(Block block, unsigned level) {
  return level == 5 ? tracker.root().address().raw() : machine.ReadU64(SlotOf(block, level + 1));
}

void TestHandover::SetBit(Block block) {
  const uint64_t key =
      uint64_t{1} << (52 - block.order.log2()) | block.frame.number() >> block.order.log2();
  *machine.At(NodeOf(block, 0) + (key & 0x7fff) / 8) |= static_cast<uint8_t>(1u << key % 8);
}

CheckResult TestHandover::CheckAt(uint64_t root) { return CheckWith(root, machine.NewFrames()); }

CheckResult TestHandover::CheckWith(uint64_t root, FrameTable& frames) {
  CheckResult result;
  machine.Freeze();
  result.summary =
      CheckHandover(machine.memory, Addr(root), machine.scratch, frames, [&](const Error& error) {
        result.findings.push_back(error);
        return true;
      });
  machine.Thaw();
  EXPECT_EQ(CountFrames(frames, FrameState::kPreserved), result.summary.pages);
  for (uint64_t at = TestMachine::kBase; at < TestMachine::kEnd; at += kPageSize) {
    EXPECT_EQ(frames.in_scratch(FrameAt(at)), machine.scratch.Overlaps({Addr(at), kPageSize}))
        << std::hex << at;
  }
  return result;
}

void AddSampleClients(TestHandover& handover) {
  abi::KexecMetadata metadata = {};
  metadata.version = abi::kMetadataVersion;
  const std::string bytes(reinterpret_cast<const char*>(&metadata), sizeof(metadata));
  handover.AddClient("kexec-metadata", {handover.Blob(0, bytes).begin, sizeof(abi::KexecMetadata)});
  handover.AddClient("memblock", handover.LinuxFragment());
  handover.AddClient("LUO", {handover.Blob(0, std::string("luo-v5\0\0", 8)).begin, 32});
  const PhysRange leaf = handover.Fragment({{"data", handover.Blob(3)}});
  const PhysRange stores = handover.Fragment({{"more", leaf}});
  handover.AddClient("khorig", handover.Fragment({{"archive", handover.Blob(9)},
                                                  {"log", handover.Blob(2)},
                                                  {"stores", stores}}));
}

void ExpectFinding(TestHandover& handover, uint64_t root, ErrorCode code, uint64_t where) {
  const CheckResult result = handover.CheckAt(root);
  ASSERT_EQ(result.findings.size(), 1u)
      << (result.findings.empty() ? "" : Describe(result.findings[1]));
  EXPECT_EQ(result.findings[0].code, code) << Describe(result.findings[0]);
  EXPECT_EQ(result.findings[0].where.raw(), where) << Describe(result.findings[0]);

  FrameTable& frames = handover.machine.NewFrames();
  const Result<Incoming> incoming =
      Incoming::Open(handover.machine.memory, Addr(root), handover.machine.scratch, frames);
  EXPECT_ERROR(incoming, code, where);
}

}  // namespace khocore
