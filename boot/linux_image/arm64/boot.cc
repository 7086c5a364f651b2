// SPDX-License-Identifier: BSD-3-Clause
#include "boot/firmware/uefi.h"
#include "boot/linux_image/arm64/read_device_tree.h"
#include "kernel/arch/arm64/console.h"
#include "kernel/arch/arm64/machine.h"
#include "kernel/arch/arm64/mmu.h"
#include "kernel/arch/mmu.h"
#include "kernel/base/boot_info.h"
#include "kernel/base/boot_reader.h"
#include "kernel/base/device_tree.h"
#include "kernel/console/print.h"

extern "C" {
extern char __image_begin[], __image_end[];
}

namespace boot {
namespace {

using base::BootInfo;
using base::DeviceTree;
using khocore::PhysAddr;

constinit BootInfo info{};

constexpr auto kPrintNote = [](const char* text) { console::Print("device tree: %s\n", text); };

void ReadFirmware() {
  auto map_any = [](khocore::PhysRange range) -> const void* {
    if (!arch::MapRam(range).ok()) return nullptr;
    return reinterpret_cast<const void*>(range.begin.raw());
  };
  auto map_ram = [&map_any](khocore::PhysRange range) {
    return base::CoveredByRam(info, range) ? map_any(range) : nullptr;
  };
  auto note = [](const char* text, uint64_t value) {
    console::Print("boot: ignored: %s 0x%lx\n", text, value);
  };
  TakeFirmware(base::BootReader(map_ram, note), base::BootReader(map_any, note), &info);
}

/// Reads the device tree at `address`. entry.S has mapped 2 MiB and more from there on.
void ReadDeviceTree(PhysAddr address) {
  if (address.is_null()) {
    kPrintNote("none was passed");
    return;
  }
  if (!arch::MapRam({address, DeviceTree::kMaxSize}).ok()) {
    kPrintNote("it lies where no memory can be; ignored");
    return;
  }
  const auto tree =
      DeviceTree::Open(reinterpret_cast<const void*>(address.raw()), DeviceTree::kMaxSize);
  if (!tree.ok()) {
    console::Print("device tree: %s at 0x%lx; ignored\n", khocore::ErrorName(tree.error().code),
                   address.raw());
    return;
  }
  arch::this_machine = arch::ReadMachine(tree.value(), kPrintNote);
  const khocore::PhysRange console = arch::this_machine.console;
  if (console.size != 0 && arch::MapDevice(console).ok()) arch::UseConsole(console.begin);
  ReadBootInfo(tree.value(), address, &info, kPrintNote);
  ReadFirmware();
}

}  // namespace

/// Called by entry.S at the linked address, with `image` the physical address of the image.
extern "C" [[noreturn]] void ImageMain(uint64_t device_tree, uint64_t image) {
  info.protocol = "linux";
  info.parameters = PhysAddr::FromRaw(device_tree);
  info.image = {PhysAddr::FromRaw(image), static_cast<uint64_t>(__image_end - __image_begin)};
  ReadDeviceTree(PhysAddr::FromRaw(device_tree));
  KernelMain(info);
}

}  // namespace boot
