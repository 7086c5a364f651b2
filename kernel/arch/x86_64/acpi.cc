// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/acpi.h"

namespace arch {

using khocore::PhysAddr;

namespace {

// ACPI 6.5: 5.2.5.3 RSDP, 5.2.6 table header, 5.2.7 RSDT, 5.2.8 XSDT, 5.2.12 MADT, 5.2.16 SRAT.

struct __attribute__((packed)) RootPointer {
  char signature[8];
  uint8_t checksum;
  char oem[6];
  uint8_t revision;
  uint32_t rsdt;
  // From revision 2 on.
  uint32_t length;
  uint64_t xsdt;
  uint8_t extended_checksum;
  uint8_t reserved[3];
};
static_assert(sizeof(RootPointer) == 36);
constexpr uint64_t kRootPointerBytes = 20;  ///< of revision 0

struct __attribute__((packed)) TableHeader {
  char signature[4];
  uint32_t length;
  uint8_t revision;
  uint8_t checksum;
  char oem[6];
  char oem_table[8];
  uint32_t oem_revision;
  uint32_t creator;
  uint32_t creator_revision;
};
static_assert(sizeof(TableHeader) == 36);

constexpr uint64_t kMadtHeader = sizeof(TableHeader) + 8;   ///< with the APIC's address and flags
constexpr uint64_t kSratHeader = sizeof(TableHeader) + 12;  ///< with two reserved fields
constexpr uint64_t kMaxTable = uint64_t{1} << 20;
constexpr uint8_t kLocalApic = 0;
constexpr uint8_t kLocalX2Apic = 9;
constexpr uint8_t kMemoryAffinity = 1;
constexpr uint32_t kEnabled = 1;

struct __attribute__((packed)) LocalApicEntry {
  uint8_t type;
  uint8_t length;
  uint8_t processor;
  uint8_t apic_id;
  uint32_t flags;
};
static_assert(sizeof(LocalApicEntry) == 8);

struct __attribute__((packed)) LocalX2ApicEntry {
  uint8_t type;
  uint8_t length;
  uint16_t reserved;
  uint32_t apic_id;
  uint32_t flags;
  uint32_t processor;
};
static_assert(sizeof(LocalX2ApicEntry) == 16);

struct __attribute__((packed)) MemoryAffinityEntry {
  uint8_t type;
  uint8_t length;
  uint32_t domain;
  uint16_t reserved;
  uint64_t begin;
  uint64_t size;
  uint32_t more_reserved;
  uint32_t flags;
  uint64_t last_reserved;
};
static_assert(sizeof(MemoryAffinityEntry) == 40);

bool SumsToZero(const void* bytes, uint64_t size) {
  uint8_t sum = 0;
  for (uint64_t i = 0; i < size; ++i) {
    sum = static_cast<uint8_t>(sum + static_cast<const uint8_t*>(bytes)[i]);
  }
  return sum == 0;
}

/// The whole table at `address`, or null; `*size` is its length. The checksum of a table is the
/// caller's business, because some are large and not read any further.
const uint8_t* FindTable(uint64_t address, const base::BootReader& reader, uint64_t* size) {
  TableHeader header;
  if (!reader.Read(address, &header) || header.length < sizeof(header) ||
      header.length > kMaxTable) {
    reader.Ignore("ACPI table without a usable header at", address);
    return nullptr;
  }
  *size = header.length;
  const void* bytes = reader.Find(address, header.length);
  if (bytes == nullptr) reader.Ignore("ACPI table beyond what can be read at", address);
  return static_cast<const uint8_t*>(bytes);
}

bool HasSignature(const uint8_t* table, const char* signature) {
  return __builtin_memcmp(table, signature, 4) == 0;
}

/// The list of tables, and how wide an address in it is.
struct RootTable {
  const uint8_t* bytes = nullptr;
  uint64_t size = 0;
  uint64_t width = 0;
};

RootTable FindRootTable(PhysAddr rsdp, const base::BootReader& reader) {
  RootPointer pointer = {};
  const void* first = reader.Find(rsdp.raw(), kRootPointerBytes);
  if (first == nullptr || __builtin_memcmp(first, "RSD PTR ", 8) != 0 ||
      !SumsToZero(first, kRootPointerBytes)) {
    reader.Ignore("no ACPI root pointer at", rsdp.raw());
    return {};
  }
  __builtin_memcpy(&pointer, first, kRootPointerBytes);
  const bool extended = pointer.revision >= 2 && reader.Read(rsdp.raw(), &pointer) &&
                        SumsToZero(&pointer, sizeof(pointer)) && pointer.xsdt != 0;
  RootTable root;
  root.width = extended ? 8 : 4;
  root.bytes = FindTable(extended ? pointer.xsdt : pointer.rsdt, reader, &root.size);
  if (root.bytes == nullptr) return {};
  if (!HasSignature(root.bytes, extended ? "XSDT" : "RSDT") || !SumsToZero(root.bytes, root.size)) {
    reader.Ignore("ACPI root table with a wrong signature or checksum, found by", rsdp.raw());
    return {};
  }
  return root;
}

void AddProcessor(uint32_t apic_id, uint32_t flags, Processors* processors) {
  constexpr uint32_t kBroadcast = 0xff;
  if ((flags & kEnabled) == 0) return;
  ++processors->found;
  if (apic_id >= kBroadcast || processors->count == Processors::kMax) return;
  processors->apic_ids[processors->count++] = static_cast<uint8_t>(apic_id);
}

/// A table of entries that each begin with their type and length, and where they begin.
struct EntryTable {
  const char* signature;
  uint64_t header;
  const char* damaged;  ///< the note about it
  const char* rest;     ///< the note about entries that cannot be read
};
constexpr EntryTable kMadt = {"APIC", kMadtHeader, "MADT with a wrong length or checksum at",
                              "the rest of the MADT from its byte"};
constexpr EntryTable kSrat = {"SRAT", kSratHeader, "SRAT with a wrong length or checksum at",
                              "the rest of the SRAT from its byte"};

/// Its entries are another kind: ReadRemappingUnit has them.
constexpr EntryTable kDmar = {"DMAR", sizeof(TableHeader) + 12,
                              "DMAR with a wrong length or checksum at", ""};

/// Calls `visit(type, bytes, length)` for each entry of the table of `size` bytes. False when it
/// ends in something else.
template <typename Visit>
bool ForEachEntry(const EntryTable& kind, const uint8_t* table, uint64_t size,
                  const base::BootReader& reader, Visit visit) {
  constexpr uint64_t kTypeAndLength = 2;
  for (uint64_t at = kind.header; at < size;) {
    const uint64_t length = size - at < kTypeAndLength ? 0 : table[at + 1];
    if (length < kTypeAndLength || length > size - at) {
      reader.Ignore(kind.rest, at);
      return false;
    }
    visit(table[at], table + at, length);
    at += length;
  }
  return true;
}

/// The table of this kind, whole and with a right checksum, or null.
const uint8_t* FindEntryTable(PhysAddr rsdp, const EntryTable& kind, const base::BootReader& reader,
                              uint64_t* size) {
  if (rsdp.is_null()) return nullptr;
  const RootTable root = FindRootTable(rsdp, reader);
  for (uint64_t at = sizeof(TableHeader); at + root.width <= root.size; at += root.width) {
    uint64_t address = 0;
    __builtin_memcpy(&address, root.bytes + at, root.width);
    const uint8_t* table = FindTable(address, reader, size);
    if (table == nullptr || !HasSignature(table, kind.signature)) continue;
    if (*size >= kind.header && SumsToZero(table, *size)) return table;
    reader.Ignore(kind.damaged, address);
  }
  return nullptr;
}

}  // namespace

Processors ReadProcessors(PhysAddr rsdp, const base::BootReader& reader) {
  Processors processors;
  uint64_t size = 0;
  const uint8_t* const table = FindEntryTable(rsdp, kMadt, reader, &size);
  if (table == nullptr) return processors;
  (void)ForEachEntry(kMadt, table, size, reader,
                     [&](uint8_t type, const uint8_t* bytes, uint64_t length) {
                       if (type == kLocalApic && length >= sizeof(LocalApicEntry)) {
                         LocalApicEntry entry;
                         __builtin_memcpy(&entry, bytes, sizeof(entry));
                         AddProcessor(entry.apic_id, entry.flags, &processors);
                       } else if (type == kLocalX2Apic && length >= sizeof(LocalX2ApicEntry)) {
                         LocalX2ApicEntry entry;
                         __builtin_memcpy(&entry, bytes, sizeof(entry));
                         AddProcessor(entry.apic_id, entry.flags, &processors);
                       }
                     });
  return processors;
}

void ReadNodes(PhysAddr rsdp, const base::BootReader& reader, base::NodeMap* nodes) {
  uint64_t size = 0;
  const uint8_t* const table = FindEntryTable(rsdp, kSrat, reader, &size);
  if (table == nullptr) return;
  bool fits = true;
  const bool whole = ForEachEntry(
      kSrat, table, size, reader, [&](uint8_t type, const uint8_t* bytes, uint64_t length) {
        if (type != kMemoryAffinity || length < sizeof(MemoryAffinityEntry)) return;
        MemoryAffinityEntry entry;
        __builtin_memcpy(&entry, bytes, sizeof(entry));
        if ((entry.flags & kEnabled) == 0) return;
        const khocore::PhysRange range{PhysAddr::FromRaw(entry.begin), entry.size};
        if (nodes->Add(range, entry.domain)) return;
        reader.Ignore("SRAT: memory of two nodes, or more than can be kept, at", entry.begin);
        fits = false;
      });
  if (!whole || !fits) *nodes = {};
}

PhysAddr ReadRemappingUnit(PhysAddr rsdp, const base::BootReader& reader) {
  constexpr uint16_t kUnit = 0;
  struct __attribute__((packed)) Entry {
    uint16_t type;
    uint16_t length;
    uint32_t flags_and_segment;
    uint64_t registers;
  } entry;
  uint64_t size = 0;
  const uint8_t* const table = FindEntryTable(rsdp, kDmar, reader, &size);
  if (table == nullptr || size - kDmar.header < sizeof(entry)) return {};
  // Units come before all else.
  __builtin_memcpy(&entry, table + kDmar.header, sizeof(entry));
  if (entry.type != kUnit || entry.length < sizeof(entry)) {
    reader.Ignore("DMAR that does not begin with a remapping unit, of type", entry.type);
    return {};
  }
  return PhysAddr::FromRaw(entry.registers);
}

}  // namespace arch
