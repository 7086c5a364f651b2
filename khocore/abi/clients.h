// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

/// The blobs of the clients that Linux 7.2 and khorig share, and those of khorig alone.
///
/// kexec-metadata (Linux include/linux/kho/abi/kexec_metadata.h): a packed struct.
///
/// memblock (Linux include/linux/kho/abi/memblock.h): a fragment, u64 values CPU-native
///     / { compatible = "memblock-v1";
///         <name> { compatible = "reserve-mem-v1"; start = <u64>; size = <u64>; }; };
///
/// khorig: a fragment
///     / { compatible = "khorig-v1";
///         archive { preserved-data; blob-size; };       the cpio archive with the next kernel
///         log { preserved-data; blob-size; };           the console log ring, `LogHeader` first
///         stores { preserved-data; blob-size = 4096; }; fragments of named stores:
///             / { compatible = "khorig-stores-v1";
///                 <name> { compatible = "khorig-store-v1"; vmalloc = <struct Vmalloc>;
///                          size = <u64 bytes>; };
///                 more { preserved-data; blob-size = 4096; }; };   next fragment when one is full
///         runtime-services { preserved-data; blob-size = 4096; };   only after a start by UEFI:
///             / { compatible = "khorig-runtime-services-v1"; regions = <RuntimeRegion>*; };
///         live-device { preserved-data; blob-size };   only when a device works across the jump:
///                                                       a `LiveDevice`
///         live-iommu { preserved-data; blob-size };     only when that is behind an IOMMU:
///                                                       a `LiveIommu`
///         live-cpu { preserved-data; blob-size; };      a `LiveCpu`: a CPU that runs on
///         <any> { preserved-data; blob-size; };         what a scenario links
///     };
///
/// The store "ledger" holds the `LedgerEntry` of every page that was preserved when the ledger was
/// made, in the order of their keys in the radix tree. Its own pages and chunks are not in it, nor
/// what is preserved after it: the fragments written then, the generation record, the root, and the
/// pages that a live device or a live CPU writes.

namespace khocore::abi {

inline constexpr char kMetadataClient[] = "kexec-metadata";
inline constexpr uint32_t kMetadataVersion = 1;
struct __attribute__((packed)) KexecMetadata {
  uint32_t version;
  char previous_release[65];
  uint32_t kexec_count;
};
static_assert(sizeof(KexecMetadata) == 73);
static_assert(offsetof(KexecMetadata, kexec_count) == 69);

inline constexpr char kMemblockClient[] = "memblock";
inline constexpr char kMemblockCompatible[] = "memblock-v1";
inline constexpr char kReserveMemCompatible[] = "reserve-mem-v1";

inline constexpr char kKhorigClient[] = "khorig";
inline constexpr char kKhorigCompatible[] = "khorig-v1";
inline constexpr char kStoresCompatible[] = "khorig-stores-v1";
inline constexpr char kStoreCompatible[] = "khorig-store-v1";

/// Head of the log ring; `capacity` bytes of text follow. `written` counts all bytes ever written,
/// so the newest byte is at (written - 1) % capacity.
struct LogHeader {
  uint64_t magic;  ///< `kLogMagic`
  uint64_t capacity;
  uint64_t written;
  uint64_t reserved;
};
static_assert(sizeof(LogHeader) == 32);
inline constexpr uint64_t kLogMagic = 0x676f6c2d67726f6b;  // "korg-log"

struct LedgerEntry {
  uint64_t page;  ///< physical address
  uint64_t hash;  ///< XXH64 of the page, seed 0
};
static_assert(sizeof(LedgerEntry) == 16);

inline constexpr char kRuntimeServicesCompatible[] = "khorig-runtime-services-v1";

/// A region of the firmware's runtime services, as the first kernel found it.
struct RuntimeRegion {
  uint64_t begin;  ///< physical address
  uint64_t size;   ///< bytes
  uint64_t hash;   ///< XXH64 of them, seed 0
};
static_assert(sizeof(RuntimeRegion) == 24);

/// A PCI function that goes on without a reset, bus mastering on, and what it may write: `bytes`
/// from `offset` on in one preserved page, a `LiveRecord`.
inline constexpr char kLiveDeviceNode[] = "live-device";
struct LiveDevice {
  char kind[8];          ///< "edu": QEMU's
  uint32_t function;     ///< bus << 8 | device << 3 | function
  uint32_t bytes;        ///< of each transfer
  uint64_t registers;    ///< physical address
  uint64_t page;         ///< physical address
  uint64_t bus_address;  ///< by which the device reaches `page`
  uint64_t offset;       ///< in `page`
  uint64_t count;        ///< transfers that were over when this was written
};
static_assert(sizeof(LiveDevice) == 56);

/// What the device's transfer number `count` writes, from 1 on; before it, `count` is 0.
struct LiveRecord {
  uint64_t count;
  uint64_t check;  ///< ~count
};
static_assert(sizeof(LiveRecord) == 16);

/// An IOMMU that stays on, with tables in preserved blocks: the registers that name them do not
/// change until the device is done.
inline constexpr char kLiveIommuNode[] = "live-iommu";
inline constexpr unsigned kLiveIommuTables = 12;
struct LiveIommu {
  char kind[8];        ///< "vtd", "smmuv3"
  uint64_t registers;  ///< physical address
  uint64_t root;       ///< physical address of the topmost table, as a register has it
  uint64_t count;      ///< of `tables`
  uint64_t tables[kLiveIommuTables];  ///< physical address with the order in its low bits
};
static_assert(sizeof(LiveIommu) == 128);

inline constexpr char kLedgerStore[] = "ledger";

/// A page of a live CPU.
struct LiveCpuPage {
  uint64_t physical;
  uint64_t virtual_address;  ///< in the CPU's own page tables
};

/// A CPU that executes a loop in pages of its own while kernels come and go. Each of the pages is a
/// preserved block of order 0. The next kernel neither starts nor resets the CPU, and writes only
/// to the mailbox. Hashed by nobody, because the CPU writes them at any time: stack and counter.
struct LiveCpu {
  static constexpr uint64_t kMaxTables = 5;

  uint64_t magic;               ///< `kLiveCpuMagic`
  uint64_t hardware_id;         ///< APIC ID; MPIDR_EL1 without what is no affinity
  uint64_t iterations;          ///< of the loop when this was handed over, or fewer
  uint64_t table_count;         ///< a page table for each level
  uint64_t tables[kMaxTables];  ///< physical addresses, the topmost first; 0 behind the last
  LiveCpuPage text;             ///< read and execute; virtual and physical address are equal
  LiveCpuPage stack;            ///< read and write
  LiveCpuPage counter;          ///< read and write: a `LiveCpuCounter`
  LiveCpuPage mailbox;          ///< read: a u64, not 0 once the CPU is to leave the loop
};
static_assert(sizeof(LiveCpu) == 136);
inline constexpr uint64_t kLiveCpuMagic = 0x7570632d6576696c;  // "live-cpu"

struct LiveCpuCounter {
  uint64_t iterations;
  uint64_t has_left;  ///< 1 when the CPU has left the loop
};
static_assert(sizeof(LiveCpuCounter) == 16);

}  // namespace khocore::abi
