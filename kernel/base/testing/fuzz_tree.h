// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <libfdt.h>
#include <string.h>

#include <map>
#include <string>

#include "kernel/base/device_tree.h"
#include "kernel/base/testing/test_tree.h"
#include "khocore/testing/case_check.h"
#include "khocore/types.h"

namespace base {

/// An input of a fuzzer as a device tree, aligned, with its magic number and its size put right.
class FuzzTree {
 public:
  explicit FuzzTree(khocore::Span<const uint8_t> input)
      : words_((input.size + sizeof(uint64_t) - 1) / sizeof(uint64_t)), size_(input.size) {
    if (size_ < sizeof(fdt_header)) return;
    memcpy(words_.data(), input.data, size_);
    fdt_set_magic(words_.data(), FDT_MAGIC);
    fdt_set_totalsize(words_.data(), static_cast<uint32_t>(size_));
  }

  const void* blob() const { return words_.data(); }
  uint64_t size() const { return size_; }
  khocore::Result<DeviceTree> Open() const { return DeviceTree::Open(blob(), size()); }

 private:
  std::vector<uint64_t> words_;
  uint64_t size_;
};

/// Trees of machines, as seeds.
inline std::map<std::string, std::string> MachineTrees() {
  const auto bytes = [](TestTree& tree) {
    tree.Pack();
    return std::string(static_cast<const char*>(tree.blob()), tree.size());
  };
  TestTree virt;
  virt.Reserve(0x44000000, 0x1000).Reserve(0x48000000, 0x1000);
  virt.Node("/memory@40000000").String("/memory@40000000", "device_type", "memory");
  virt.Cells("/memory@40000000", "reg", {0, 0x40000000, 0, 0x80000000, 1, 0, 0, 0x10000000});
  virt.Node("/reserved-memory").Node("/reserved-memory/a@50000000");
  virt.Cells("/reserved-memory", "#address-cells", {2})
      .Cells("/reserved-memory", "#size-cells", {2});
  virt.Cells("/reserved-memory/a@50000000", "reg", {0, 0x50000000, 0, 0x10000});
  virt.String("/reserved-memory/a@50000000", "compatible", "khorig,efi-runtime-services");
  virt.Node("/chosen").String("/chosen", "bootargs", "scenario=x seed=1");
  virt.String("/chosen", "stdout-path", "serial0:115200");
  virt.Cells("/chosen", "linux,initrd-start", {0x48000000});
  virt.Cells("/chosen", "linux,initrd-end", {0, 0x48001000});
  virt.Cells("/chosen", "linux,kho-fdt", {0, 0x60000000, 0, 0x1000});
  virt.Cells("/chosen", "linux,kho-scratch", {0, 0x60002000, 0, 0x20});
  virt.Node("/aliases").String("/aliases", "serial0", "/pl011@9000000");
  virt.Node("/pl011@9000000").String("/pl011@9000000", "compatible", "arm,pl011");
  virt.Cells("/pl011@9000000", "reg", {0, 0x9000000, 0, 0x1000});
  virt.Node("/intc").String("/intc", "compatible", "arm,gic-v3");
  virt.Cells("/intc", "reg", {0, 0x8000000, 0, 0x10000, 0, 0x80a0000, 0, 0xf60000});
  virt.Node("/pcie").String("/pcie", "compatible", "pci-host-ecam-generic");
  virt.Cells("/pcie", "reg", {0x40, 0x10000000, 0, 0x10000000})
      .Cells("/pcie", "bus-range", {0, 255});
  virt.Node("/psci").String("/psci", "compatible", "arm,psci-0.2").String("/psci", "method", "hvc");
  virt.Node("/cpus").Cells("/cpus", "#address-cells", {1}).Cells("/cpus", "#size-cells", {0});
  for (const char* cpu : {"/cpus/cpu@0", "/cpus/cpu@1"}) {
    virt.Node(cpu).String(cpu, "device_type", "cpu").String(cpu, "compatible", "arm,cortex-a57");
    virt.Cells(cpu, "reg", {static_cast<uint32_t>(cpu[10] - '0')});
  }

  TestTree narrow(1, 1, 1024);
  narrow.Node("/memory").String("/memory", "device_type", "memory");
  narrow.Cells("/memory", "reg", {0x40000000, 0x10000000, 0x60000000, 0x1000});
  narrow.Node("/soc").Bytes("/soc", "ranges", "").Node("/soc/intc");
  narrow.String("/soc/intc", "compatible", "arm,gic-400").String("/soc/intc", "status", "okay");
  narrow.Cells("/soc", "#address-cells", {1}).Cells("/soc", "#size-cells", {1});
  narrow.Cells("/soc/intc", "reg", {0x8000000, 0x1000, 0x8010000, 0x1000});
  narrow.Node("/chosen").Cells("/chosen", "linux,kho-fdt", {0x60000000, 0});

  // Names of one length, made one: properties that are there twice.
  TestTree twice;
  twice.Node("/memory").String("/memory", "device_type", "memory");
  twice.Cells("/memory", "reg", {0, 0, 0, 0x1000}).Cells("/memory", "rex", {0, 0x1000, 0, 0x2000});
  twice.Cells("/memory", "#size-cells", {1}).Cells("/memory", "#size-cellz", {2});
  std::string doubled = bytes(twice);
  doubled.replace(doubled.find("rex"), 3, "reg");
  doubled.replace(doubled.find("#size-cellz"), 11, "#size-cells");

  TestTree bare;
  bare.Node("/chosen@0").Node("/memory@0").String("/memory@0", "status", "disabled");
  return {
      {"virt", bytes(virt)}, {"narrow", bytes(narrow)}, {"bare", bytes(bare)}, {"twice", doubled}};
}

}  // namespace base
