// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/testing/incoming_seeds.h"

#include <gtest/gtest.h>
#include <string.h>

#include <vector>

#include "khocore/abi/scratch.h"
#include "khocore/testing/incoming_case.h"
#include "khocore/testing/test_handover.h"
#include "khocore/vmalloc.h"

namespace khocore {
namespace {

static_assert(kCaseRam.begin.raw() == TestMachine::kBase && kCaseRam.size == TestMachine::kSize);
static_assert(kCaseScratch.size == TestMachine::kScratchSize);

constexpr uint64_t kArray = TestMachine::kBase + 3 * kPageSize;

template <typename T>
std::string BytesOf(const T& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

/// What a page holds besides zeroes, as records. Short runs of zeroes stay inside one.
std::string RecordsOf(uint64_t index, const std::string& page) {
  constexpr size_t kGap = 16;
  std::string records;
  for (size_t at = page.find_first_not_of('\0'); at != std::string::npos;) {
    const size_t gap = page.find(std::string(kGap, '\0'), at);
    const size_t end = gap == std::string::npos ? page.size() : gap;
    const CaseRecord record{static_cast<uint16_t>(index), static_cast<uint16_t>(at),
                            static_cast<uint16_t>(end - at)};
    records += BytesOf(record) + page.substr(at, end - at);
    at = page.find_first_not_of('\0', end);
  }
  return records;
}

std::string Encode(TestHandover& handover, const abi::Vmalloc& vmalloc = {}) {
  TestMachine& machine = handover.machine;
  const abi::ScratchArea area{TestMachine::kBase, TestMachine::kScratchSize};
  memcpy(machine.At(kArray), &area, sizeof(area));
  std::string bytes = BytesOf(CaseHeader{handover.root(), kArray, sizeof(area), vmalloc});
  for (uint64_t at = TestMachine::kBase; at < TestMachine::kEnd; at += kPageSize) {
    bytes += RecordsOf((at - TestMachine::kBase) / kPageSize, machine.Page(at));
  }
  return bytes;
}

std::string Empty() {
  TestHandover handover;
  return Encode(handover);
}

std::string Sample() {
  TestHandover handover;
  AddSampleClients(handover);
  return Encode(handover);
}

std::string Orders() {
  TestHandover handover;
  for (unsigned order = 0; order <= 11; ++order) handover.Blob(order);
  return Encode(handover);
}

std::string Chain() {
  TestHandover handover;
  PhysRange next = handover.Blob(0);
  for (int i = 0; i < 5; ++i) next = handover.Fragment({{"next", next}, {"x", handover.Blob(1)}});
  handover.AddClient("chain", next);
  return Encode(handover);
}

std::string List(uint64_t count, unsigned order) {
  TestHandover handover;
  TestMachine& machine = handover.machine;
  std::vector<PageFrame> blocks;
  blocks.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    blocks.push_back(FrameAt(TestMachine::kFree + (i << (kPageShift + order))));
  }
  const auto list = WriteVmalloc(machine.memory, machine.pages, {blocks.data(), blocks.size()},
                                 Order::FromLog2(order));
  EXPECT_TRUE(list.ok() && PreserveVmalloc(machine.memory, handover.tracker, list.value()).ok());
  return Encode(handover, list.value());
}

std::string SharedFragment() {
  TestHandover handover;
  const PhysRange leaf = handover.Fragment({});
  handover.AddClient("a", handover.Fragment({{"x", leaf}}));
  handover.AddClient("b", handover.Fragment({{"y", leaf}}));
  return Encode(handover);
}

std::string SharedNode() {
  TestHandover handover;
  const Block root = BlockAt(handover.root(), 0);
  handover.machine.WriteU64(handover.SlotOf(root, 2) + 8, handover.NodeOf(root, 1));
  return Encode(handover);
}

std::string Overlap() {
  TestHandover handover;
  const uint64_t blob = handover.Blob(3).begin.raw();
  handover.SetBit(BlockAt(blob + 5 * kPageSize, 0));
  return Encode(handover);
}

}  // namespace

std::map<std::string, std::string> IncomingSeeds() {
  return {{"empty", Empty()},
          {"sample", Sample()},
          {"orders", Orders()},
          {"chain", Chain()},
          {"list-of-pages", List(512, 0)},
          {"list-of-blocks", List(5, 2)},
          {"shared-fragment", SharedFragment()},
          {"shared-node", SharedNode()},
          {"overlap", Overlap()}};
}

}  // namespace khocore
