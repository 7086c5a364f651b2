// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Memory shared by the probe in QEMU and the host (qemu/khorig/vm/probe/control_block.py), a memfd.
// The guest cannot reach it.
//
// The host writes an array and its count first and the flag that arms it last; the probe reads the
// flag first. What the host changes while the guest runs may be seen half changed for a moment, so
// it changes things at stops. Addresses are guest-physical unless they say otherwise; `offset` is
// one in the file of guest RAM.

#include <cstddef>
#include <cstdint>

namespace probe {

inline constexpr uint64_t kMagic = 0x3130'4542'4f52'504b;  // "KPROBE01"
inline constexpr uint64_t kPageSize = 4096;

inline constexpr size_t kMaxRegions = 160;  // a file may lie in two
inline constexpr size_t kMaxFiles = 128;    // of guest RAM: QEMU's limit of NUMA nodes
inline constexpr size_t kMaxRanges = 64;
inline constexpr size_t kMaxAddresses = 16;
inline constexpr size_t kMaxPages = 1024;
inline constexpr size_t kRingRecords = 65536;  // the newest are kept
inline constexpr size_t kMaxStoreBytes = 32;   // of one store; QEMU splits wider ones

inline constexpr uint32_t kAllCpus = 0xffff'ffff;

// A run of RAM. `reported` is the address that QEMU's qemu_plugin_hwaddr_phys_addr gives for its
// begin: `gpa` from QEMU 8.2 on, before that an address in the block of RAM.
struct Region {
  uint64_t gpa;
  uint64_t size;
  uint64_t offset;
  uint64_t reported;
};

struct Range {
  uint64_t begin;
  uint64_t end;
};

// What a CPU did.
struct Access {
  uint64_t cpu;
  uint64_t pc;
  uint64_t virtual_address;
  uint64_t physical;
  uint64_t instruction;
};

// Fetches or stores outside of `ranges`, counted since `armed` was set.
struct Absence {
  uint32_t armed;
  uint32_t cpu;  // kAllCpus, or the only one that counts
  uint64_t range_count;
  uint64_t count;
  Access first;  // valid when count > 0
  Range ranges[kMaxRanges];
};

struct Store {
  uint64_t sequence;  // from 1, written last; 0 while the rest is written
  Access access;
  uint64_t size;
  uint8_t before[kMaxStoreBytes];
  uint8_t after[kMaxStoreBytes];
};

enum State : uint32_t {
  kAbsent = 0,  // not loaded
  kReady = 1,   // loaded
  kMapped = 2,  // RAM was found: everything works
  kNoRam = 3,   // RAM is not mapped in this QEMU: no stop, no record
};

struct ControlBlock {
  uint64_t magic;
  uint64_t size;  // of this structure
  uint32_t state;
  uint32_t region_count;
  Region regions[kMaxRegions];

  uint32_t fetch_armed;  // the probe clears it when it stops
  uint32_t fetch_count;
  Range fetch[kMaxRanges];

  uint32_t address_armed;  // the probe clears it when it stops
  uint32_t address_count;
  uint64_t addresses[kMaxAddresses];  // virtual

  uint32_t watch_armed;
  uint32_t page_count;
  uint64_t pages[kMaxPages];  // offsets, ascending
  uint64_t stores;            // recorded since the start; those beyond the ring are gone
  uint64_t instructions;      // executed, at the last record or stop
  uint64_t watched_from;      // executed when the watch began; 0 until the first store after that

  Absence fetches_outside;
  Absence stores_outside;

  Store ring[kRingRecords];
  uint8_t shadow[kMaxPages][kPageSize];  // `pages` as they were after the last recorded store
};

enum StopKind : uint32_t { kFetchStop = 1, kAddressStop = 2 };

// What the probe writes to its socket at a stop. The CPU waits until the host answers one byte.
struct StopRecord {
  uint32_t kind;
  uint32_t cpu;
  uint64_t pc;
  uint64_t physical;  // kNoPhysical: not in RAM
  uint64_t instruction;
};

inline constexpr uint64_t kNoPhysical = ~uint64_t{0};

static_assert(sizeof(Region) == 32);
static_assert(sizeof(Access) == 40);
static_assert(sizeof(Absence) == 64 + kMaxRanges * sizeof(Range));
static_assert(sizeof(Store) == 120);
static_assert(sizeof(StopRecord) == 32);
static_assert(offsetof(ControlBlock, fetch_armed) == 24 + kMaxRegions * sizeof(Region));

}  // namespace probe
