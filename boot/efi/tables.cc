// SPDX-License-Identifier: BSD-3-Clause
#include "boot/efi/tables.h"

#include <string.h>

#include "boot/firmware/uefi.h"
#include "kernel/base/boot_reader.h"

namespace efi {

using khocore::PhysAddr;
using khocore::PhysRange;

namespace {

/// LINUX_EFI_MEMRESERVE_TABLE.
constexpr EFI_GUID kReservations = {
    0x888eb0c6, 0x8ede, 0x4ff5, {0xa8, 0xf0, 0x9a, 0xee, 0x5c, 0xb9, 0x77, 0xc2}};

}  // namespace

EFI_STATUS InstallReservations(const EFI_SYSTEM_TABLE& system) {
  if (FindTable(system, kReservations) != nullptr) return EFI_SUCCESS;
  const PhysRange page = AllocatePages(system.BootServices, EfiLoaderData, kPageSize);
  if (page.size == 0) return EFI_OUT_OF_RESOURCES;
  auto* const head = reinterpret_cast<void*>(page.begin.raw());
  memset(head, 0, page.size);
  EFI_GUID guid = kReservations;
  return system.BootServices->InstallConfigurationTable(&guid, head);
}

void KeepTables(const EFI_SYSTEM_TABLE& system, base::BootInfo* info) {
  static_assert(sizeof(EFI_CONFIGURATION_TABLE) == 24);
  // The firmware's page tables map all memory to itself, and these are its own words.
  auto map = [](PhysRange range) { return reinterpret_cast<const void*>(range.begin.raw()); };
  auto note = [](const char*, uint64_t) {};
  const auto array = reinterpret_cast<uint64_t>(system.ConfigurationTable);
  boot::KeepTables(PhysAddr::FromRaw(array), system.NumberOfTableEntries,
                   base::BootReader(map, note), info);
}

}  // namespace efi
