// SPDX-License-Identifier: BSD-3-Clause
//
// An input is the memory with the RSDP first. A byte of each table is set so that its checksum is
// right, or every second case would be about nothing else.

#include <string.h>

#include <string>
#include <vector>

#include "kernel/arch/x86_64/acpi.h"
#include "khocore/testing/case_check.h"
#include "khocore/testing/fuzz_bytes.h"
#include "khocore/testing/fuzz_case.h"

namespace {

using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Span;

constexpr uint64_t kBase = 0xe0000;
constexpr size_t kTableHeader = 36;

using Memory = std::vector<uint8_t>;

template <typename T>
bool Read(const Memory& memory, uint64_t address, T* value) {
  if (address < kBase || memory.size() < sizeof(T)) return false;
  if (address - kBase > memory.size() - sizeof(T)) return false;
  memcpy(value, memory.data() + (address - kBase), sizeof(T));
  return true;
}

/// Makes the sum of `size` bytes 0 by the one at `at`, when they are in memory.
void Balance(Memory* memory, uint64_t address, uint64_t size, uint64_t at) {
  if (address < kBase || address - kBase > memory->size()) return;
  uint8_t* const bytes = memory->data() + (address - kBase);
  if (at >= size || size > memory->size() - (address - kBase)) return;
  uint8_t sum = 0;
  for (uint64_t i = 0; i < size; ++i) sum = static_cast<uint8_t>(sum + bytes[i]);
  bytes[at] = static_cast<uint8_t>(bytes[at] - sum);
}

void BalanceTable(Memory* memory, uint64_t address) {
  uint32_t size = 0;
  if (Read(*memory, address + 4, &size)) Balance(memory, address, size, 9);
}

/// The tables that a root table names, by entries of `width` bytes.
template <typename F>
void ForEachTable(const Memory& memory, uint64_t root, uint64_t width, F visit) {
  uint32_t size = 0;
  if (!Read(memory, root + 4, &size)) return;
  for (uint64_t at = kTableHeader; at + width <= size && at < memory.size(); at += width) {
    uint64_t address = 0;
    uint32_t narrow = 0;
    if (width == 8 ? !Read(memory, root + at, &address) : !Read(memory, root + at, &narrow)) return;
    visit(width == 8 ? address : narrow);
  }
}

void BalanceAll(Memory* memory) {
  uint32_t rsdt = 0;
  uint64_t xsdt = 0;
  if (Read(*memory, kBase + 24, &xsdt)) {
    const Memory before = *memory;
    ForEachTable(before, xsdt, 8, [&](uint64_t table) { BalanceTable(memory, table); });
    BalanceTable(memory, xsdt);
  }
  if (Read(*memory, kBase + 16, &rsdt)) {
    const Memory before = *memory;
    ForEachTable(before, rsdt, 4, [&](uint64_t table) { BalanceTable(memory, table); });
    BalanceTable(memory, rsdt);
  }
  Balance(memory, kBase, 20, 8);
  Balance(memory, kBase, 36, 32);
}

/// The enabled processors of the MADT at `table`, which is whole.
std::vector<uint32_t> ReadMadt(const Memory& memory, uint64_t table, uint32_t size) {
  std::vector<uint32_t> ids;
  for (uint64_t at = table + 44; at < table + size;) {
    uint8_t type = 0;
    uint8_t length = 0;
    if (!Read(memory, at, &type) || !Read(memory, at + 1, &length) || length < 2) return ids;
    if (at + length > table + size) return ids;
    uint8_t narrow = 0;
    uint32_t id = 0;
    uint32_t flags = 0;
    if (type == 0 && length >= 8) {
      CASE_CHECK(Read(memory, at + 3, &narrow) && Read(memory, at + 4, &flags));
      id = narrow;
    } else if (type == 9 && length >= 16) {
      CASE_CHECK(Read(memory, at + 4, &id) && Read(memory, at + 8, &flags));
    }
    if (flags % 2 != 0) ids.push_back(id);
    at += length;
  }
  return ids;
}

/// Whatever the SRAT says, every page has one node.
void CheckNodes(const base::BootReader& reader) {
  base::NodeMap nodes;
  arch::ReadNodes(PhysAddr::FromRaw(kBase), reader, &nodes);
  PhysAddr at;
  uint32_t last = 0;
  nodes.ForEachPart([&](PhysRange part, uint32_t node) {
    CASE_CHECK(part.begin == at && part.size != 0 && part.size % khocore::kPageSize == 0);
    CASE_CHECK(at.is_null() || node != last);
    CASE_CHECK(nodes.IsInOne(part) && nodes.NodeOf(part.begin) == node);
    at = part.end();
    last = node;
  });
  CASE_CHECK(at.raw() == khocore::AlignDown(~uint64_t{0}, khocore::kPageSize));
}

std::string Table(const char* signature, const std::string& body) {
  std::string table(kTableHeader, '\0');
  memcpy(table.data(), signature, 4);
  fuzz::Put(&table, 4, static_cast<uint32_t>(kTableHeader + body.size()));
  return table + body;
}

std::string Madt() {
  std::string body(8, '\0');
  body += std::string("\0\x08\0\0\1\0\0\0", 8) + std::string("\0\x08\1\1\1\0\0\0", 8);
  body += std::string("\1\x0c\0\0\0\0\0\0\0\0\0\0", 12);            // an I/O APIC
  body += std::string("\x09\x10\0\0\7\0\0\0\1\0\0\0\2\0\0\0", 16);  // x2APIC 7
  return Table("APIC", body + std::string("\x09\x10\0\0\0\1\0\0\1\0\0\0\2\0\0\0", 16));
}

std::string Srat() {
  std::string body(12, '\0');
  const auto add = [&body](uint32_t node, uint64_t begin, uint64_t size) {
    std::string entry(40, '\0');
    entry[0] = 1, entry[1] = 40;
    fuzz::Put(&entry, 2, node);
    fuzz::Put(&entry, 8, begin);
    fuzz::Put(&entry, 16, size);
    fuzz::Put(&entry, 28, uint32_t{1});
    body += entry;
  };
  add(0, 0, 0xa0000), add(0, 0x100000, 0x6401000), add(2, 0x6501000, 0x9aff000);
  return Table("SRAT", body);
}

std::string Seed(bool extended) {
  std::string memory("RSD PTR ");
  memory.resize(40);
  memory[15] = extended ? 2 : 0;
  const uint64_t root = kBase + 40;
  const std::string other = Srat();
  const std::string madt = Madt();
  const uint64_t width = extended ? 8 : 4;
  const uint64_t first = root + kTableHeader + 2 * width;
  std::string list =
      fuzz::BytesOf(first).substr(0, width) + fuzz::BytesOf(first + other.size()).substr(0, width);
  if (extended) {
    fuzz::Put(&memory, 20, uint32_t{36});
    fuzz::Put(&memory, 24, root);
  } else {
    fuzz::Put(&memory, 16, static_cast<uint32_t>(root));
  }
  return memory + Table(extended ? "XSDT" : "RSDT", list) + other + madt;
}

}  // namespace

bool fuzz::RunCase(Span<const uint8_t> input) {
  Memory memory(input.begin(), input.end());
  BalanceAll(&memory);
  const PhysRange all{PhysAddr::FromRaw(kBase), memory.size()};
  uint64_t last_madt = 0;
  auto map = [&](PhysRange range) -> const void* {
    if (!all.Contains(range)) return nullptr;
    const uint8_t* const bytes = memory.data() + (range.begin - all.begin);
    if (range.size > kTableHeader && memcmp(bytes, "APIC", 4) == 0) last_madt = range.begin.raw();
    return bytes;
  };
  size_t notes = 0;
  auto note = [&](const char* text, uint64_t) { notes += *text != '\0'; };
  const arch::Processors found =
      arch::ReadProcessors(PhysAddr::FromRaw(kBase), base::BootReader(map, note));

  CASE_CHECK(found.count <= arch::Processors::kMax && found.count <= found.found);
  std::vector<uint32_t> want;
  uint32_t size = 0;
  if (found.found != 0) {
    // The table that was read last is the one that counts.
    CASE_CHECK(last_madt != 0 && Read(memory, last_madt + 4, &size));
    want = ReadMadt(memory, last_madt, size);
  }
  CASE_CHECK(want.size() == found.found);
  size_t count = 0;
  for (const uint32_t id : want) {
    if (id >= 0xff || count == arch::Processors::kMax) continue;
    CASE_CHECK(count < found.count && found.apic_ids[count] == id);
    ++count;
  }
  CASE_CHECK(count == found.count);
  CheckNodes(base::BootReader(map, note));
  return found.found != 0 && notes == 0;
}

std::map<std::string, std::string> fuzz::Seeds() {
  return {{"rsdt", Seed(false)}, {"xsdt", Seed(true)}};
}
