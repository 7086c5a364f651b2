// SPDX-License-Identifier: BSD-3-Clause
#include "boot/efi/machine.h"

#include <string.h>

#include "boot/linux_image/x86_64/boot_params.h"
#include "kernel/kexec/linux_boot.h"

namespace efi {

using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Span;
using khocore::Status;

namespace {

constexpr EFI_GUID kAcpi20 = ACPI_20_TABLE_GUID;
constexpr EFI_GUID kAcpi10 = ACPI_TABLE_GUID;

uint32_t Low(uint64_t value) { return static_cast<uint32_t>(value); }
uint32_t High(uint64_t value) { return static_cast<uint32_t>(value >> 32); }

}  // namespace

const char* FindMachine(const EFI_SYSTEM_TABLE& system, base::BootInfo* info) {
  const void* rsdp = FindTable(system, kAcpi20);
  if (rsdp == nullptr) rsdp = FindTable(system, kAcpi10);
  info->rsdp = PhysAddr::FromRaw(reinterpret_cast<uint64_t>(rsdp));
  return nullptr;
}

uint64_t KernelParametersSize(const kexec::NextBoot& boot) {
  static constinit base::BootInfo most{};
  most.region_count = base::BootInfo::kMaxRegions;
  kexec::NextBoot largest = boot;
  largest.info = &most;
  return kexec::ParametersSize(largest);
}

Status BuildKernelParameters(const kexec::NextBoot& boot, const MemoryMap& map,
                             const EFI_SYSTEM_TABLE& system, PhysRange place) {
  auto* bytes = reinterpret_cast<uint8_t*>(place.begin.raw());
  KHOCORE_RETURN_IF_ERROR(kexec::BuildParameters(boot, {bytes, place.size}, place.begin));
  const auto table = reinterpret_cast<uint64_t>(&system);
  const auto descriptors = reinterpret_cast<uint64_t>(map.buffer.data);
  boot::EfiInfo info{};
  info.loader_signature = boot::kEfiLoader64;
  info.system_table = Low(table);
  info.system_table_high = High(table);
  info.descriptor_size = Low(map.descriptor_size);
  info.descriptor_version = map.version;
  info.memory_map = Low(descriptors);
  info.memory_map_high = High(descriptors);
  info.memory_map_size = Low(map.bytes);
  memcpy(bytes + offsetof(boot::BootParams, efi), &info, sizeof(info));
  bytes[offsetof(boot::BootParams, secure_boot)] = boot.info->firmware.secure_boot;
  return khocore::Ok{};
}

void EnterKernel(PhysAddr entry, PhysAddr parameters, Span<const PhysRange>) {
  // Caches are coherent here. The firmware's page tables map all memory to itself, as the protocol
  // wants; the kernel brings everything else with it.
  asm volatile("cli; jmp *%0" : : "r"(entry.raw()), "S"(parameters.raw()) : "memory");
  __builtin_unreachable();
}

}  // namespace efi
