// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arm64/machine.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "kernel/base/testing/guarded_bytes.h"
#include "kernel/base/testing/test_tree.h"

namespace arch {
namespace {

using base::DeviceTree;
using base::TestTree;
using khocore::PhysAddr;
using khocore::PhysRange;

PhysRange Range(uint64_t begin, uint64_t size) { return {PhysAddr::FromRaw(begin), size}; }

struct Outcome {
  Machine machine;
  std::vector<std::string> notes;
};

Outcome Read(const TestTree& source) {
  Outcome outcome;
  const auto tree = DeviceTree::Open(source.blob(), source.size());
  EXPECT_TRUE(tree.ok());
  if (tree.ok()) {
    outcome.machine =
        ReadMachine(tree.value(), [&](const char* text) { outcome.notes.push_back(text); });
  }
  return outcome;
}

/// The devices of QEMU's virt machine.
TestTree VirtTree(const char* gic, const char* stdout_path) {
  TestTree tree;
  tree.Node("/aliases").String("/aliases", "serial0", "/pl011@9000000");
  tree.Node("/chosen").String("/chosen", "stdout-path", stdout_path);
  tree.Node("/pl011@9000000").String("/pl011@9000000", "compatible", "arm,pl011");
  tree.Cells("/pl011@9000000", "reg", {0, 0x9000000, 0, 0x1000});
  tree.Node("/intc@8000000").String("/intc@8000000", "compatible", gic);
  tree.Cells("/intc@8000000", "reg", {0, 0x8000000, 0, 0x10000, 0, 0x8010000, 0, 0x20000});
  tree.Node("/pcie@10000000").String("/pcie@10000000", "compatible", "pci-host-ecam-generic");
  tree.Cells("/pcie@10000000", "reg", {0x40, 0x10000000, 0, 0x10000000});
  tree.Cells("/pcie@10000000", "bus-range", {4, 255});
  tree.Cells("/pcie@10000000", "ranges",
             {0x1000000, 0,    0,          0,    0x3eff0000, 0,    0x10000,     // I/O
              0x2000000, 0,    0x10000000, 0,    0x10000000, 0,    0x2eff0000,  // 32-bit memory
              0x3000000, 0x80, 0,          0x80, 0,          0x80, 0});         // 64-bit memory
  return tree.Pack();
}

TEST(ReadMachine, ReadsQemusVirt) {
  const Outcome outcome = Read(VirtTree("arm,cortex-a15-gic", "/pl011@9000000"));
  EXPECT_TRUE(outcome.notes.empty());
  EXPECT_EQ(outcome.machine.console, Range(0x9000000, 0x1000));
  EXPECT_EQ(outcome.machine.gic, Machine::Gic::kV2);
  EXPECT_EQ(outcome.machine.gic_distributor, Range(0x8000000, 0x10000));
  EXPECT_EQ(outcome.machine.gic_cpu, Range(0x8010000, 0x20000));
  EXPECT_EQ(outcome.machine.pci, Range(0x4010000000, 0x10000000));
  EXPECT_EQ(outcome.machine.pci_first_bus, 4u);
  EXPECT_EQ(outcome.machine.pci_memory, Range(0x10000000, 0x2eff0000));
  EXPECT_EQ(outcome.machine.smmu, PhysRange());
}

TEST(ReadMachine, ReadsTheFirstSmmu) {
  TestTree tree;
  tree.Node("/smmuv3@9050000").String("/smmuv3@9050000", "compatible", "arm,smmu-v3");
  tree.Cells("/smmuv3@9050000", "reg", {0, 0x9050000, 0, 0x20000});
  EXPECT_EQ(Read(tree.Pack()).machine.smmu, Range(0x9050000, 0x20000));
}

TEST(ReadMachine, TakesPciMemoryOnlyWhereTheBusHasTheCpusAddresses) {
  const std::initializer_list<uint32_t> unusable[] = {
      {},
      {0x2000000, 0, 0x10000000, 0, 0x10000000, 0},               // no whole entry
      {0x1000000, 0, 0x10000000, 0, 0x10000000, 0, 0x1000000},    // I/O
      {0x3000000, 0, 0x10000000, 0, 0x10000000, 0, 0x1000000},    // 64-bit
      {0x2000000, 0, 0, 0, 0x10000000, 0, 0x1000000},             // translated
      {0x2000000, 0, 0xf0000000, 0, 0xf0000000, 0, 0x10001000},   // beyond 4 GiB
      {0x2000000, 0, 0x1000, 0, 0x1000, 0xffffffff, 0xffffffff},  // wraps
  };
  for (const auto& cells : unusable) {
    TestTree tree;
    tree.Node("/pci").String("/pci", "compatible", "pci-host-ecam-generic");
    tree.Cells("/pci", "reg", {0, 0x30000000, 0, 0x100000}).Cells("/pci", "ranges", cells);
    const Outcome outcome = Read(tree.Pack());
    EXPECT_NE(outcome.machine.pci.size, 0u);
    EXPECT_EQ(outcome.machine.pci_memory.size, 0u);
  }
}

TEST(ReadMachine, ReadsGicVersion3) {
  const Outcome outcome = Read(VirtTree("arm,gic-v3", "/pl011@9000000"));
  EXPECT_EQ(outcome.machine.gic, Machine::Gic::kV3);
  EXPECT_EQ(outcome.machine.gic_distributor, Range(0x8000000, 0x10000));
  EXPECT_EQ(outcome.machine.gic_redistributors, Range(0x8010000, 0x20000));
}

TEST(ReadMachine, ReadsEveryItsAndVirtioTransport) {
  TestTree tree;
  for (const char* const at : {"2", "1"}) {  // libfdt adds in front
    const auto begin = static_cast<uint32_t>(*at - '0');
    const std::string its = std::string("/its@") + at, virtio = std::string("/virtio_mmio@") + at;
    tree.Node(its).String(its, "compatible", "arm,gic-v3-its");
    tree.Cells(its, "reg", {0, begin << 20, 0, 0x20000});
    tree.Node(virtio).String(virtio, "compatible", "virtio,mmio");
    tree.Cells(virtio, "reg", {0, begin << 12, 0, 0x200});
  }
  const Outcome outcome = Read(tree);
  EXPECT_TRUE(outcome.notes.empty());
  ASSERT_EQ(outcome.machine.its_count, 2u);
  EXPECT_EQ(outcome.machine.its[0], Range(1 << 20, 0x20000));
  EXPECT_EQ(outcome.machine.its[1], Range(2 << 20, 0x20000));
  ASSERT_EQ(outcome.machine.virtio_count, 2u);
  EXPECT_EQ(outcome.machine.virtio[1], Range(2 << 12, 0x200));
}

TEST(ReadMachine, SaysHowManyDevicesItHasNoRoomFor) {
  TestTree tree;
  for (uint32_t i = 0; i < Machine::kMaxIts + 2; ++i) {
    const std::string path = "/its@" + std::to_string(i);
    tree.Node(path).String(path, "compatible", "arm,gic-v3-its");
    tree.Cells(path, "reg", {0, i << 20, 0, 0x20000});
  }
  tree.Node("/virtio").String("/virtio", "compatible", "virtio,mmio");
  const Outcome outcome = Read(tree);
  EXPECT_EQ(outcome.machine.its_count, Machine::kMaxIts);
  EXPECT_EQ(outcome.machine.virtio_count, 0u);
  EXPECT_EQ(outcome.notes.size(), 3u);
}

TEST(ReadMachine, FollowsAliasAndSettings) {
  for (const char* const path : {"serial0", "serial0:115200n8", "/pl011@9000000:115200"}) {
    EXPECT_EQ(Read(VirtTree("arm,gic-v3", path)).machine.console, Range(0x9000000, 0x1000)) << path;
  }
}

TEST(ReadMachine, LeavesTheConsoleForWhatIsNoPl011) {
  for (const char* const path : {"", ":", "serial1", "/nobody", "/intc@8000000", "/pl011@900000"}) {
    const Outcome outcome = Read(VirtTree("arm,gic-v3", path));
    EXPECT_EQ(outcome.machine.console.size, 0u) << path;
    EXPECT_EQ(outcome.notes.size(), 1u) << path;
  }
}

TEST(ReadMachine, FindsTheConsoleAmongSeveralBelowABus) {
  TestTree tree(1, 1);
  tree.Node("/soc").Node("/chosen").Bytes("/soc", "ranges", "");
  tree.Cells("/soc", "#address-cells", {1}).Cells("/soc", "#size-cells", {1});
  for (uint32_t at = 9; at >= 1; --at) {  // one more than are looked at; libfdt adds in front
    const std::string path = "/soc/uart@" + std::to_string(at);
    tree.Node(path).String(path, "compatible", "arm,pl011").Cells(path, "reg", {at << 12, 0x1000});
  }
  tree.String("/chosen", "stdout-path", "/soc/uart@2");
  EXPECT_EQ(Read(tree).machine.console, Range(0x2000, 0x1000));
}

TEST(ReadMachine, LeavesAPathThatIsTooLongAlone) {
  TestTree tree;
  const std::string path = "/" + std::string(120, 'u');
  tree.Node("/chosen").String("/chosen", "stdout-path", path);
  tree.Node(path).String(path, "compatible", "arm,pl011");
  tree.Cells(path, "reg", {0, 0x1000, 0, 0x1000});
  const Outcome outcome = Read(tree);
  EXPECT_EQ(outcome.machine.console.size, 0u);
  EXPECT_EQ(outcome.notes.size(), 1u);
}

TEST(ReadMachine, SaysWhatItCannotReach) {
  for (const char* const gic : {"arm,cortex-a15-gic", "arm,gic-v3"}) {
    TestTree tree;
    tree.Node("/gic").String("/gic", "compatible", gic);
    tree.Cells("/gic", "reg", {0, 0x8000000, 0, 0x10000});  // nothing of the CPUs
    tree.Node("/pci").String("/pci", "compatible", "pci-host-ecam-generic");
    const Outcome outcome = Read(tree);
    EXPECT_EQ(outcome.machine.gic, Machine::Gic::kNone);
    EXPECT_EQ(outcome.machine.pci.size, 0u);
    EXPECT_EQ(outcome.notes.size(), 2u);
  }
}

TEST(ReadMachine, PassesDisabledDevicesOver) {
  TestTree tree;
  tree.Node("/b").String("/b", "compatible", "arm,gic-v3");
  tree.Cells("/b", "reg", {0, 0x2000, 0, 0x1000, 0, 0x4000, 0, 0x1000});
  tree.Node("/a").String("/a", "compatible", "arm,gic-v3").String("/a", "status", "disabled");
  tree.Cells("/a", "reg", {0, 0x1000, 0, 0x1000});  // libfdt adds in front of /b
  EXPECT_EQ(Read(tree).machine.gic_distributor, Range(0x2000, 0x1000));
}

TEST(ReadMachine, TakesTheFirstInterruptController) {
  TestTree tree;
  for (const uint32_t at : {2, 1}) {
    const std::string path = "/gic@" + std::to_string(at);
    tree.Node(path).String(path, "compatible", "arm,gic-v3");
    tree.Cells(path, "reg", {0, at << 12, 0, 0x1000, 0, at << 16, 0, 0x1000});
  }
  EXPECT_EQ(Read(tree).machine.gic_distributor, Range(0x1000, 0x1000));
}

TEST(ReadMachine, ReachesFirmwareAsTheTreeSays) {
  const auto tree_with = [](const char* method) {
    TestTree tree;
    tree.Node("/psci").String("/psci", "compatible", "arm,psci-0.2");
    if (method != nullptr) tree.String("/psci", "method", method);
    return Read(tree);
  };
  EXPECT_EQ(tree_with("hvc").machine.psci, Machine::Psci::kHvc);
  EXPECT_EQ(tree_with("smc").machine.psci, Machine::Psci::kSmc);
  EXPECT_TRUE(tree_with("smc").notes.empty());
  for (const char* const method : {static_cast<const char*>(nullptr), "", "smcc", "svc"}) {
    const Outcome outcome = tree_with(method);
    EXPECT_EQ(outcome.machine.psci, Machine::Psci::kNone);
    EXPECT_EQ(outcome.notes.size(), 1u);
  }
  TestTree old;
  old.Node("/psci").String("/psci", "compatible", "arm,psci").String("/psci", "method", "smc");
  EXPECT_EQ(Read(old).machine.psci, Machine::Psci::kNone) << "its functions have other numbers";
}

TEST(ReadMachine, ReadsTheNodesOfMemory) {
  TestTree tree;
  const auto add = [&tree](const std::string& name, uint32_t begin, uint32_t size, uint32_t node) {
    tree.Node(name).String(name, "device_type", "memory");
    tree.Cells(name, "reg", {0, begin, 0, size}).Cells(name, "numa-node-id", {node});
  };
  add("/memory@46501000", 0x46501000, 0x1000000, 7);
  add("/memory@40000000", 0x40000000, 0x6501000, 0);
  const Machine machine = Read(tree).machine;
  EXPECT_EQ(machine.nodes.FrontOf(Range(0x40000000, 0x7000000)), Range(0x40000000, 0x6501000));
  EXPECT_EQ(machine.nodes.NodeOf(PhysAddr::FromRaw(0x46600000)), 7u);

  add("/memory@46600000", 0x46600000, 0x1000, 0);  // the other node's
  const Outcome outcome = Read(tree);
  EXPECT_EQ(outcome.notes.size(), 1u);
  EXPECT_TRUE(outcome.machine.nodes.IsInOne(Range(0x40000000, 0x7000000)));
}

TEST(ReadMachine, FindsNothingInAnEmptyTree) {
  const Outcome outcome = Read(TestTree());
  EXPECT_TRUE(outcome.notes.empty());
  EXPECT_EQ(outcome.machine.gic, Machine::Gic::kNone);
  EXPECT_EQ(outcome.machine.console.size, 0u);
  EXPECT_EQ(outcome.machine.pci.size, 0u);
  EXPECT_EQ(outcome.machine.psci, Machine::Psci::kNone);
}

TEST(ReadMachine, IgnoresBusNumbersOutOfRange) {
  TestTree wide;
  wide.Node("/pci").String("/pci", "compatible", "pci-host-ecam-generic");
  wide.Cells("/pci", "reg", {0, 0x10000000, 0, 0x100000}).Cells("/pci", "bus-range", {256, 300});
  EXPECT_EQ(Read(wide).machine.pci_first_bus, 0u);
}

TEST(ReadMachine, StaysInsideADamagedTree) {
  const TestTree tree = VirtTree("arm,cortex-a15-gic", "serial0:115200n8");
  const std::string whole(static_cast<const char*>(tree.blob()), tree.size());
  std::minstd_rand random(1);
  for (int i = 0; i < 20000; ++i) {
    std::string damaged = whole;
    for (unsigned n = random() % 4 + 1; n != 0; --n) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    base::GuardedBytes guarded(damaged.data(), damaged.size());
    const auto opened = DeviceTree::Open(guarded.data(), guarded.size());
    if (opened.ok()) (void)ReadMachine(opened.value(), [](const char*) {});
  }
}

}  // namespace
}  // namespace arch
