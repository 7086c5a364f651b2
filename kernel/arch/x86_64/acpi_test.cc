// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/x86_64/acpi.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "kernel/base/testing/fake_memory.h"

namespace arch {
namespace {

using khocore::PhysAddr;

constexpr uint64_t kBase = 0x10000;
constexpr uint64_t kRsdp = kBase;
constexpr uint64_t kRoot = kBase + 0x100;
constexpr uint64_t kOther = kBase + 0x200;
constexpr uint64_t kMadt = kBase + 0x300;
constexpr size_t kSize = 0x1000;

using Bytes = std::vector<uint8_t>;

template <typename T>
void Append(Bytes& bytes, T value) {
  const auto* raw = reinterpret_cast<const uint8_t*>(&value);
  bytes.insert(bytes.end(), raw, raw + sizeof(value));
}

/// Makes the byte at `at` what lets [begin, end) sum to zero.
void Seal(Bytes& bytes, size_t at, size_t begin, size_t end) {
  bytes[at] = 0;
  uint8_t sum = 0;
  for (size_t i = begin; i < end; ++i) sum = static_cast<uint8_t>(sum + bytes[i]);
  bytes[at] = static_cast<uint8_t>(-sum);
}

Bytes Table(const std::string& signature, const Bytes& body) {
  Bytes bytes(signature.begin(), signature.end());
  Append<uint32_t>(bytes, static_cast<uint32_t>(36 + body.size()));
  bytes.resize(36);
  bytes.insert(bytes.end(), body.begin(), body.end());
  Seal(bytes, 9, 0, bytes.size());
  return bytes;
}

Bytes Rsdp(uint8_t revision) {
  Bytes bytes{'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '};
  bytes.resize(15);
  bytes.push_back(revision);
  Append<uint32_t>(bytes, revision < 2 ? kRoot : 0);
  Append<uint32_t>(bytes, 36);
  Append<uint64_t>(bytes, revision < 2 ? 0 : kRoot);
  bytes.resize(36);
  Seal(bytes, 8, 0, 20);
  Seal(bytes, 32, 0, 36);
  return bytes;
}

Bytes LocalApic(uint8_t id, uint32_t flags) {
  Bytes bytes{0, 8, id, id};
  Append(bytes, flags);
  return bytes;
}

Bytes X2Apic(uint32_t id) {
  Bytes bytes{9, 16, 0, 0};
  Append(bytes, id);
  Append<uint32_t>(bytes, 1);
  Append(bytes, id);
  return bytes;
}

Bytes Join(const std::vector<Bytes>& parts) {
  Bytes all(8);  // address and flags
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

class AcpiTest : public testing::Test {
 protected:
  void Put(uint64_t address, const Bytes& bytes) {
    for (size_t i = 0; i < bytes.size(); ++i) memory_.Put(address + i, bytes[i]);
  }
  /// A machine with these entries in its MADT.
  void PutAll(const std::vector<Bytes>& entries, uint8_t revision = 0) {
    Put(kRsdp, Rsdp(revision));
    Bytes list;
    for (const uint64_t table : {kOther, kMadt}) {
      if (revision < 2) {
        Append(list, static_cast<uint32_t>(table));
      } else {
        Append(list, table);
      }
    }
    Put(kRoot, Table(revision < 2 ? "RSDT" : "XSDT", list));
    Put(kOther, Table("FACP", Bytes(20)));
    Put(kMadt, Table("APIC", Join(entries)));
  }
  Processors Read(uint64_t rsdp = kRsdp) {
    Processors processors;
    memory_.With([&](const base::BootReader& reader) {
      processors = ReadProcessors(khocore::PhysAddr::FromRaw(rsdp), reader);
    });
    return processors;
  }

  base::FakeMemory memory_{kBase, kSize};
};

TEST_F(AcpiTest, FindsEnabledProcessorsByBothRootTables) {
  for (const uint8_t revision : {uint8_t{0}, uint8_t{2}}) {
    PutAll({LocalApic(0, 1), Bytes{1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, LocalApic(4, 1),
            LocalApic(5, 0), LocalApic(6, 2), X2Apic(7)},
           revision);
    const Processors found = Read();
    EXPECT_TRUE(memory_.notes().empty());
    ASSERT_EQ(found.count, 3u);
    EXPECT_EQ(found.found, 3u);
    EXPECT_EQ(found.apic_ids[0], 0);
    EXPECT_EQ(found.apic_ids[1], 4);
    EXPECT_EQ(found.apic_ids[2], 7);
  }
}

TEST_F(AcpiTest, CountsThoseThatItCannotKeep) {
  std::vector<Bytes> entries;
  for (uint8_t i = 0; i < 70; ++i) entries.push_back(LocalApic(i, 1));
  entries.push_back(X2Apic(300));
  PutAll(entries);
  const Processors found = Read();
  EXPECT_EQ(found.count, Processors::kMax);
  EXPECT_EQ(found.found, 71u);
}

TEST_F(AcpiTest, FindsNoneWithoutTables) {
  EXPECT_EQ(Read(0).found, 0u);
  EXPECT_TRUE(memory_.notes().empty());
  EXPECT_EQ(Read().found, 0u);
  EXPECT_EQ(memory_.notes().size(), 1u);
  EXPECT_EQ(Read(~uint64_t{0} - 3).found, 0u);
  EXPECT_EQ(memory_.notes().size(), 1u);
}

TEST_F(AcpiTest, IgnoresWhatIsDamaged) {
  const auto damage = [&](uint64_t address) {
    PutAll({LocalApic(0, 1), LocalApic(1, 1)});
    ASSERT_EQ(Read().found, 2u);
    memory_.Put(address, uint8_t{0xa5});
    EXPECT_EQ(Read().found, 0u);
    EXPECT_FALSE(memory_.notes().empty());
  };
  for (const uint64_t address :
       {kRsdp, kRsdp + 8, kRoot, kRoot + 9, kRoot + 7, kMadt + 9, kMadt + 7}) {
    damage(address);
  }
}

TEST_F(AcpiTest, IgnoresAMadtThatEndsBeforeItsEntries) {
  PutAll({LocalApic(0, 1)});
  Bytes table = Table("APIC", Bytes(7));
  Put(kMadt, table);
  EXPECT_EQ(Read().found, 0u);
  ASSERT_EQ(memory_.notes().size(), 1u);
  EXPECT_EQ(memory_.notes()[0], "MADT with a wrong length or checksum at");
}

TEST_F(AcpiTest, ReadsTheFirstRemappingUnit) {
  const auto unit = [&](uint64_t rsdp = kRsdp) {
    PhysAddr found;
    memory_.With([&](const base::BootReader& reader) {
      found = ReadRemappingUnit(PhysAddr::FromRaw(rsdp), reader);
    });
    return found;
  };
  PutAll({});
  EXPECT_EQ(unit(), PhysAddr()) << "a MADT is no DMAR";
  EXPECT_EQ(unit(0), PhysAddr());
  Bytes body(12 + 16);
  body[12 + 2] = 16;        // of type 0, this long
  body[12 + 8 + 2] = 0xd9;  // registers
  body[12 + 8 + 3] = 0xfe;
  Put(kMadt, Table("DMAR", body));
  EXPECT_EQ(unit(), PhysAddr::FromRaw(0xfed90000));
  body[12] = 1;  // reserved memory
  Put(kMadt, Table("DMAR", body));
  EXPECT_EQ(unit(), PhysAddr());
  body[12] = 0;
  body[12 + 2] = 15;
  Put(kMadt, Table("DMAR", body));
  EXPECT_EQ(unit(), PhysAddr());
  body.resize(12 + 15);
  Put(kMadt, Table("DMAR", body));
  EXPECT_EQ(unit(), PhysAddr()) << "the unit ends behind the table";
}

TEST_F(AcpiTest, StopsAtAnEntryThatDoesNotFit) {
  for (const uint8_t length : {uint8_t{0}, uint8_t{1}, uint8_t{200}}) {
    PutAll({LocalApic(0, 1), Bytes{0, length, 1, 1, 1, 0, 0, 0}, LocalApic(2, 1)});
    EXPECT_EQ(Read().found, 1u);
    EXPECT_EQ(memory_.notes().size(), 1u);
  }
}

Bytes MemoryAffinity(uint32_t node, uint64_t begin, uint64_t size, uint32_t flags = 1) {
  Bytes bytes{1, 40};
  Append(bytes, node);
  bytes.resize(8);
  Append(bytes, begin);
  Append(bytes, size);
  bytes.resize(28);
  Append(bytes, flags);
  bytes.resize(40);
  return bytes;
}

/// The nodes of a machine whose SRAT has these entries.
class SratTest : public AcpiTest {
 protected:
  base::NodeMap Nodes(const std::vector<Bytes>& entries) {
    PutAll({});
    Bytes body = Join(entries);
    body.insert(body.begin(), 4, 0);  // two fields before the entries, of 4 and 8 bytes
    Put(kMadt, Table("SRAT", body));
    base::NodeMap nodes;
    memory_.With([&](const base::BootReader& reader) {
      ReadNodes(khocore::PhysAddr::FromRaw(kRsdp), reader, &nodes);
    });
    return nodes;
  }
};

khocore::PhysRange Range(uint64_t begin, uint64_t size) {
  return {khocore::PhysAddr::FromRaw(begin), size};
}

TEST_F(SratTest, FindsEnabledMemory) {
  const Bytes processor{0, 16, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  const base::NodeMap nodes =
      Nodes({processor, MemoryAffinity(0, 0, 0xa0000), MemoryAffinity(0, 0x100000, 0x6401000),
             MemoryAffinity(9, 0x3000, 0x1000, 0),  // not enabled
             MemoryAffinity(3, 0x6501000, 0x9aff000)});
  EXPECT_TRUE(memory_.notes().empty());
  EXPECT_EQ(nodes.FrontOf(Range(0, 0x10000000)), Range(0, 0x6501000));
  EXPECT_EQ(nodes.NodeOf(khocore::PhysAddr::FromRaw(0x6501000)), 3u);
}

TEST_F(SratTest, WhatContradictsItselfIsNone) {
  const Bytes first = MemoryAffinity(0, 0, 0x2000000),
              second = MemoryAffinity(1, 0x2000000, 0x1000);
  for (const Bytes& last : {MemoryAffinity(2, 0x1fff000, 0x1000), Bytes{1, 41}, Bytes{1, 0},
                            MemoryAffinity(2, ~uint64_t{0} - 10, 0x1000)}) {
    EXPECT_TRUE(Nodes({first, second, last}).IsInOne(Range(0, 0x4000000)));
    EXPECT_EQ(memory_.notes().size(), 1u);
  }
  EXPECT_FALSE(Nodes({first, second}).IsInOne(Range(0, 0x4000000)));
}

TEST_F(AcpiTest, SurvivesAnything) {
  std::mt19937 random(1);
  for (unsigned round = 0; round < 3000; ++round) {
    PutAll({LocalApic(0, 1), X2Apic(1), LocalApic(2, 1)}, round % 2 == 0 ? 0 : 2);
    for (unsigned i = 0; i < 4; ++i) {
      memory_.Put(kBase + random() % 0x400, static_cast<uint8_t>(random()));
    }
    const Processors found = Read();
    EXPECT_LE(found.count, found.found);
  }
}

}  // namespace
}  // namespace arch
