// SPDX-License-Identifier: BSD-3-Clause
#include "boot/efi/machine.h"

#include "boot/efi/arm64/enter.h"
#include "boot/efi/arm64/tree.h"
#include "kernel/base/device_tree.h"
#include "kernel/kexec/linux_boot.h"

namespace efi {

using base::DeviceTree;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Span;
using khocore::Status;

namespace {

constexpr EFI_GUID kDeviceTree = EFI_DTB_TABLE_GUID;

}  // namespace

const char* FindMachine(const EFI_SYSTEM_TABLE& system, base::BootInfo* info) {
  const void* const blob = FindTable(system, kDeviceTree);
  if (blob == nullptr) {
    return "the firmware gives no device tree (it describes the machine by ACPI; QEMU's acpi=off "
           "makes it give one)";
  }
  const auto tree = DeviceTree::Open(blob, DeviceTree::kMaxSize);
  if (!tree.ok()) return "the firmware's device tree is malformed";
  info->device_tree = {PhysAddr::FromRaw(reinterpret_cast<uint64_t>(blob)), tree.value().size()};
  return nullptr;
}

uint64_t KernelParametersSize(const kexec::NextBoot& boot) {
  return TreeSize(boot.info->device_tree.size, boot.command_line);
}

Status BuildKernelParameters(const kexec::NextBoot& boot, const MemoryMap& map,
                             const EFI_SYSTEM_TABLE& system, PhysRange place) {
  const auto* const blob = reinterpret_cast<const void*>(boot.info->device_tree.begin.raw());
  const auto tree = DeviceTree::Open(blob, DeviceTree::kMaxSize);
  if (!tree.ok()) return tree.error();
  MapToItself(map);
  const Firmware firmware{reinterpret_cast<uint64_t>(&system), map};
  return BuildTree(tree.value(), boot, firmware,
                   {reinterpret_cast<uint8_t*>(place.begin.raw()), place.size});
}

void EnterKernel(PhysAddr entry, PhysAddr parameters, Span<const PhysRange> loaded) {
  for (const PhysRange& range : loaded) EfiCleanRange(range.begin.raw(), range.end().raw());
  EfiEnterKernel(entry.raw(), parameters.raw());
}

}  // namespace efi
