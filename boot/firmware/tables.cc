// SPDX-License-Identifier: BSD-3-Clause
#include <string.h>

#include "boot/firmware/uefi.h"

namespace boot {

using base::BootInfo;
using base::BootReader;
using base::MemoryType;
using khocore::PhysAddr;
using khocore::PhysRange;

namespace {

constexpr uint64_t kMostTables = 256;

struct Guid {
  uint32_t a;
  uint16_t b;
  uint16_t c;
  uint8_t d[8];
};

struct Entry {
  Guid guid;
  uint64_t address;
};
static_assert(sizeof(Entry) == 24);

constexpr uint32_t kNoField = ~uint32_t{0};

/// A table of `head` bytes and a number of entries, which 32-bit fields of the head tell.
struct Kind {
  Guid guid;
  uint32_t head;
  uint32_t count_at = kNoField;
  uint32_t entry_bytes = 1;
  uint32_t entry_bytes_at = kNoField;
};

// UEFI specification 2.10, 4.6 and 23.4, and Linux's include/linux/efi.h.
constexpr Kind kKinds[] = {
    // EFI_MEMORY_ATTRIBUTES_TABLE: version, entries, bytes of one
    {{0xdcfa911d, 0x26eb, 0x469f, {0xa2, 0x20, 0x38, 0xb7, 0xdc, 0x46, 0x12, 0x20}}, 16, 4, 0, 8},
    // EFI_SYSTEM_RESOURCE_TABLE: entries
    {{0xb122a263, 0x3661, 0x4f68, {0x99, 0x29, 0x78, 0xf8, 0xb0, 0xd6, 0x21, 0x80}}, 16, 0, 40},
    // EFI_RT_PROPERTIES_TABLE
    {{0xeb66918a, 0x7eef, 0x402a, {0x84, 0x2e, 0x93, 0x1d, 0x21, 0xc3, 0x8a, 0xe9}}, 8},
    // LINUX_EFI_RANDOM_SEED_TABLE: bytes
    {{0x1ce1e5bc, 0x7ceb, 0x42f2, {0x81, 0xe5, 0x8a, 0xad, 0xf1, 0x80, 0xf5, 0x7b}}, 4, 0},
    // LINUX_EFI_TPM_EVENT_LOG: bytes
    {{0xb7799cb0, 0xeca2, 0x4943, {0x96, 0x67, 0x1f, 0xae, 0x07, 0xb7, 0x47, 0xfa}}, 9, 0},
};

/// LINUX_EFI_MEMRESERVE_TABLE: a list of nodes with ranges that each kernel reserves.
constexpr Guid kReservations = {
    0x888eb0c6, 0x8ede, 0x4ff5, {0xa8, 0xf0, 0x9a, 0xee, 0x5c, 0xb9, 0x77, 0xc2}};
struct Reservations {
  uint32_t room;
  uint32_t count;
  uint64_t next;
};
constexpr unsigned kMostNodes = 64;
constexpr uint32_t kMostRanges = 4096;

/// More is no table but what was left in its place: the head alone is kept then.
constexpr uint64_t kMostBytes = 1 << 20;

bool IsSame(const Guid& one, const Guid& other) { return memcmp(&one, &other, sizeof(one)) == 0; }

void KeepPages(uint64_t begin, uint64_t size, BootInfo* info) {
  const PhysRange range{PhysAddr::FromRaw(begin), size};
  if (!range.Wraps()) base::Reserve(info, khocore::WholePages(range), MemoryType::kReserved);
}

uint64_t SizeOf(const Kind& kind, uint64_t table, const BootReader& reader) {
  uint32_t entry = kind.entry_bytes;
  uint32_t count = 0;
  if (kind.count_at == kNoField || !reader.Read(table + kind.count_at, &count)) return kind.head;
  if (kind.entry_bytes_at != kNoField && !reader.Read(table + kind.entry_bytes_at, &entry)) {
    return kind.head;
  }
  const uint64_t bytes = uint64_t{count} * entry;
  return kind.head + (bytes > kMostBytes ? 0 : bytes);
}

void KeepReservations(uint64_t first, const BootReader& reader, BootInfo* info) {
  uint64_t at = first;
  Reservations node;
  for (unsigned i = 0; at != 0; ++i, at = node.next) {
    if (i == kMostNodes || !reader.Read(at, &node) || node.count > node.room ||
        node.room > kMostRanges) {
      reader.Ignore("no list of memory reservations at", at);
      return;
    }
    for (uint32_t entry = 0; entry < node.count; ++entry) {
      uint64_t range[2];
      if (reader.Read(at + sizeof(node) + entry * sizeof(range), &range)) {
        KeepPages(range[0], range[1], info);
      }
    }
    KeepPages(at, sizeof(node) + uint64_t{node.room} * sizeof(uint64_t[2]), info);
  }
}

}  // namespace

void KeepTables(PhysAddr array, uint64_t count, const BootReader& firmware, BootInfo* info) {
  Entry entry;
  for (uint64_t i = 0; i < count; ++i) {
    if (i == kMostTables || !firmware.Read((array + i * sizeof(entry)).raw(), &entry)) {
      firmware.Ignore("no EFI configuration table at", array.raw());
      return;
    }
    if (IsSame(entry.guid, kReservations)) KeepReservations(entry.address, firmware, info);
    for (const Kind& kind : kKinds) {
      if (!IsSame(entry.guid, kind.guid)) continue;
      KeepPages(entry.address, SizeOf(kind, entry.address, firmware), info);
    }
  }
}

}  // namespace boot
