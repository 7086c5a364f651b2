// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/drivers/pci.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace {

using arch::PciFunction;

constexpr uint32_t kNobody = 0xffffffff;
constexpr uint32_t kBusMaster = 4;
constexpr uint32_t kMultifunction = 1 << 23;
constexpr uint32_t kBridge = 1 << 16;

/// A function whose registers are those that drivers use. `behind` is the bus behind a bridge, by
/// an index of its own: numbers are for the driver to give.
struct Function {
  uint32_t command = 0xffff0000;  // every error is set in the status, where a one clears it
  uint32_t header = 0;
  uint32_t numbers = 0;
  int behind = -1;
};

using Bus = std::map<std::pair<unsigned, unsigned>, Function>;  // by device and function

/// Configuration space as a host bridge and PCI bridges route it.
struct Machine {
  std::map<unsigned, Bus> roots;  // by bus number
  std::vector<Bus> behind;
  arch::PciBuses buses{0, 256};
  std::vector<std::string> wrong;

  Bus* Find(unsigned number, Bus* bus, unsigned own) {
    if (number == own) return bus;
    for (auto& [place, function] : *bus) {
      const unsigned secondary = function.numbers >> 8 & 0xff, last = function.numbers >> 16 & 0xff;
      if (function.behind < 0 || secondary == 0 || number < secondary || number > last) continue;
      return Find(number, &behind[static_cast<size_t>(function.behind)], secondary);
    }
    return nullptr;
  }

  Function* At(PciFunction at) {
    if (at.bus - buses.first >= buses.count) wrong.push_back("bus " + std::to_string(at.bus));
    auto root = roots.upper_bound(at.bus);
    if (root == roots.begin()) return nullptr;
    --root;
    Bus* bus = Find(at.bus, &root->second, root->first);
    if (bus == nullptr) return nullptr;
    const auto found = bus->find({at.device, at.function});
    return found == bus->end() ? nullptr : &found->second;
  }
};

Machine* machine = nullptr;

class Pci : public testing::Test {
 protected:
  Pci() { machine = &machine_; }
  ~Pci() override {
    machine = nullptr;
    EXPECT_TRUE(machine_.wrong.empty()) << machine_.wrong.front();
  }

  /// A bridge with a bus of its own.
  Function Bridge(Bus bus) {
    machine_.behind.push_back(std::move(bus));
    return {.header = kBridge, .behind = static_cast<int>(machine_.behind.size()) - 1};
  }

  std::vector<std::string> Found() {
    std::vector<std::string> names;
    drivers::ForEachPciFunction([&](PciFunction at) {
      names.push_back(std::to_string(at.bus) + ":" + std::to_string(at.device) + "." +
                      std::to_string(at.function));
    });
    return names;
  }

  /// How many functions there are, and how many of them are bus masters.
  std::pair<unsigned, unsigned> Count() {
    unsigned all = 0, masters = 0;
    const auto count = [&](Bus& bus) {
      for (auto& [place, function] : bus) {
        ++all;
        masters += (function.command & kBusMaster) != 0 ? 1 : 0;
      }
    };
    for (auto& [number, bus] : machine_.roots) count(bus);
    for (auto& bus : machine_.behind) count(bus);
    return {all, masters};
  }

  Machine machine_;
};

TEST_F(Pci, FindsNothingWithoutPci) {
  machine_.buses = {0, 0};
  EXPECT_TRUE(Found().empty());
  EXPECT_EQ(drivers::StartBusMasters([](PciFunction) {}), 0u);
  EXPECT_EQ(drivers::StopBusMasters({}), 0u);
}

TEST_F(Pci, FindsFunctionsOfMultifunctionDevicesOnly) {
  machine_.roots[0] = {{{0, 0}, {}},
                       {{0, 1}, {}},  // belongs to a device that says it has one function
                       {{31, 0}, {.header = kMultifunction}},
                       {{31, 7}, {}}};
  EXPECT_EQ(Found(), (std::vector<std::string>{"0:0.0", "0:31.0", "0:31.7"}));
}

TEST_F(Pci, FindsExtraRootBusesUpToTheLast) {
  machine_.roots[0][{0, 0}] = {};
  machine_.roots[64][{3, 0}] = {};
  machine_.roots[255][{31, 0}] = {};
  EXPECT_EQ(Found(), (std::vector<std::string>{"0:0.0", "64:3.0", "255:31.0"}));
}

TEST_F(Pci, StaysOnTheBusesThereAre) {
  machine_.buses = {16, 2};
  machine_.roots[16][{0, 0}] = {};
  machine_.roots[17][{0, 0}] = {};
  EXPECT_EQ(Found(), (std::vector<std::string>{"16:0.0", "17:0.0"}));
  EXPECT_EQ(drivers::StartBusMasters([](PciFunction) {}), 2u);
}

TEST_F(Pci, NumbersBusesDepthFirstBetweenTheRoots) {
  Function inner = Bridge({{{0, 0}, {}}});
  Function outer = Bridge({{{0, 0}, inner}, {{1, 0}, {}}});
  machine_.roots[0] = {{{1, 0}, outer}, {{2, 0}, Bridge({{{0, 0}, {}}})}};
  machine_.roots[4] = {{{0, 0}, Bridge({{{5, 0}, {}}})}};
  EXPECT_EQ(drivers::StartBusMasters([](PciFunction) {}), 8u);
  EXPECT_EQ(Found(), (std::vector<std::string>{"0:1.0", "0:2.0", "1:0.0", "1:1.0", "2:0.0", "3:0.0",
                                               "4:0.0", "5:5.0"}));
  // Primary, secondary, subordinate.
  EXPECT_EQ((machine_.roots[0][{1, 0}].numbers), 0x00020100u);
  EXPECT_EQ((machine_.roots[0][{2, 0}].numbers), 0x00030300u);
  EXPECT_EQ((machine_.behind[1][{0, 0}].numbers), 0x00020201u);
  EXPECT_EQ((machine_.roots[4][{0, 0}].numbers), 0x00050504u);
}

TEST_F(Pci, LeavesNumbersOfFirmwareAndTakesTheNext) {
  Function numbered = Bridge({{{0, 0}, {}}});
  numbered.numbers = 0x40030100;  // latency timer, buses 1 to 3
  machine_.roots[0] = {{{1, 0}, numbered}, {{2, 0}, Bridge({{{0, 0}, {}}})}};
  EXPECT_EQ(drivers::StartBusMasters([](PciFunction) {}), 4u);
  EXPECT_EQ((machine_.roots[0][{1, 0}].numbers), 0x40030100u);
  EXPECT_EQ((machine_.roots[0][{2, 0}].numbers), 0x00040400u);
}

TEST_F(Pci, LeavesABridgeWithoutRoomAlone) {
  machine_.roots[0] = {{{1, 0}, Bridge({{{0, 0}, {}}})}};
  machine_.roots[1] = {{{0, 0}, {}}};
  EXPECT_EQ(drivers::StartBusMasters([](PciFunction) {}), 2u);
  EXPECT_EQ((machine_.roots[0][{1, 0}].numbers), 0u);
}

TEST_F(Pci, TakesBusMasteringFromEveryFunctionAndNothingElse) {
  machine_.roots[0] = {
      {{0, 0}, {}},
      {{5, 0}, {.header = kMultifunction | Bridge({{{0, 0}, {}}}).header, .behind = 0}},
      {{5, 1}, {.command = 0xffff0103}}};
  machine_.roots[64] = {{{0, 0}, Bridge({{{9, 0}, {}}})}};
  EXPECT_EQ(drivers::StartBusMasters([](PciFunction) {}), 6u);
  EXPECT_EQ(Count(), std::make_pair(6u, 6u));
  EXPECT_EQ((machine_.roots[0][{5, 1}].command), 0xffff0107u) << "the status was cleared";
  EXPECT_EQ(drivers::StopBusMasters({}), 6u);
  EXPECT_EQ(Count(), std::make_pair(6u, 0u));
  EXPECT_EQ((machine_.roots[0][{5, 1}].command), 0xffff0103u);
  EXPECT_EQ(drivers::StopBusMasters({}), 0u);
}

TEST_F(Pci, KeepsWhatWorksAcrossTheJumpWithTheBridgesAboveIt) {
  Function inner = Bridge({{{3, 0}, {}}, {{4, 0}, {}}});
  machine_.roots[0] = {{{1, 0}, Bridge({{{0, 0}, inner}})}, {{2, 0}, Bridge({{{3, 0}, {}}})}};
  EXPECT_EQ(drivers::StartBusMasters([](PciFunction) {}), 6u);
  const PciFunction kept[] = {{2, 3, 0}};
  EXPECT_EQ(drivers::StopBusMasters({kept, 1}), 3u);
  EXPECT_NE((machine_.roots[0][{1, 0}].command & kBusMaster), 0u);
  EXPECT_NE((machine_.behind[1][{0, 0}].command & kBusMaster), 0u);
  EXPECT_NE((machine_.behind[0][{3, 0}].command & kBusMaster), 0u);
  EXPECT_EQ((machine_.behind[0][{4, 0}].command & kBusMaster), 0u);
  EXPECT_EQ((machine_.roots[0][{2, 0}].command & kBusMaster), 0u);
  EXPECT_EQ((machine_.behind[2][{3, 0}].command & kBusMaster), 0u);
}

}  // namespace

// The machine that the driver runs on.
namespace arch {

PciBuses FindPciBuses() { return machine->buses; }

uint32_t FindPciDevices(unsigned bus) {
  uint32_t found = 0;
  for (unsigned device = 0; device < 32; ++device) {
    if (machine->At({bus, device, 0}) != nullptr) found |= uint32_t{1} << device;
  }
  return found;
}

uint32_t ReadPciConfig(PciFunction at, unsigned offset) {
  const Function* function = machine->At(at);
  if (function == nullptr) return kNobody;
  switch (offset) {
    case 0x00:
      return 0x12341b36;
    case 0x04:
      return function->command;
    case 0x0c:
      return function->header;
    case 0x18:
      return function->numbers;
  }
  machine->wrong.push_back("read at " + std::to_string(offset));
  return kNobody;
}

void WritePciConfig(PciFunction at, unsigned offset, uint32_t value) {
  Function* function = machine->At(at);
  if (function == nullptr || (offset != 0x04 && offset != 0x18)) {
    machine->wrong.push_back("write at " + std::to_string(offset));
  } else if (offset == 0x04) {
    const uint32_t status = function->command & ~value & 0xffff0000;
    function->command = status | (value & 0xffff);
  } else {
    function->numbers = value;
  }
}

}  // namespace arch
