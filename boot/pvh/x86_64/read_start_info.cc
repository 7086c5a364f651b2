// SPDX-License-Identifier: BSD-3-Clause
#include "boot/pvh/x86_64/read_start_info.h"

#include <stddef.h>

namespace boot {

namespace {

using base::BootInfo;
using base::BootReader;
using khocore::PhysAddr;
using khocore::PhysRange;

struct StartInfo {
  uint32_t magic;
  uint32_t version;
  uint32_t flags;
  uint32_t modules;
  uint64_t module_list;
  uint64_t command_line;
  uint64_t rsdp;
  uint64_t memory_map;  ///< from version 1 on
  uint32_t memory_map_entries;
  uint32_t reserved;
};
static_assert(sizeof(StartInfo) == 56);

struct Module {
  uint64_t address;
  uint64_t size;
  uint64_t command_line;
  uint64_t reserved;
};
static_assert(sizeof(Module) == 32);

struct MemoryMapEntry {
  uint64_t address;
  uint64_t size;
  uint32_t type;  ///< as in e820
  uint32_t reserved;
};
static_assert(sizeof(MemoryMapEntry) == 24);

constexpr uint32_t kMagic = 0x336ec578;
constexpr uint32_t kMaxMemoryMapEntries = 4096;

PhysRange Range(uint64_t begin, uint64_t size) { return {PhysAddr::FromRaw(begin), size}; }

void ReadMemoryMap(const StartInfo& start, const BootReader& reader, BootInfo* info) {
  uint32_t count = start.memory_map_entries;
  if (count > kMaxMemoryMapEntries) {
    reader.Ignore("start_info has too many memory regions:", count);
    count = kMaxMemoryMapEntries;
  }
  for (uint32_t i = 0; i < count; ++i) {
    const uint64_t at = start.memory_map + i * sizeof(MemoryMapEntry);
    MemoryMapEntry entry;
    if (!reader.Read(at, &entry)) {
      reader.Ignore("memory map cannot be read at", at);
      return;
    }
    base::AddRegion(info, entry.address, entry.size, entry.type);
  }
  base::Keep(info, Range(start.memory_map, count * sizeof(MemoryMapEntry)), reader);
}

void ReadInitrd(const StartInfo& start, const BootReader& reader, BootInfo* info) {
  if (start.modules == 0) return;
  Module module;
  if (!reader.Read(start.module_list, &module)) {
    reader.Ignore("module list cannot be read at", start.module_list);
    return;
  }
  base::Keep(info, Range(start.module_list, sizeof(module)), reader);
  const PhysRange initrd = Range(module.address, module.size);
  if (!base::CoveredByRam(*info, initrd)) {
    reader.Ignore("initrd outside RAM at", module.address);
    return;
  }
  info->initrd = initrd;
}

}  // namespace

bool ReadStartInfo(uint64_t address, const BootReader& reader, BootInfo* info) {
  StartInfo start;
  if (!reader.Read(address, &start)) return false;
  if (start.magic != kMagic || start.version < 1) return false;
  info->protocol = "pvh";
  info->parameters = PhysAddr::FromRaw(address);
  info->rsdp = PhysAddr::FromRaw(start.rsdp);
  ReadMemoryMap(start, reader, info);
  base::Keep(info, Range(address, sizeof(start)), reader);
  if (start.command_line != 0) base::ReadCommandLine(info, start.command_line, reader);
  ReadInitrd(start, reader, info);
  return true;
}

}  // namespace boot
