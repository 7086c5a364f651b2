// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/drivers/iommu.h"

#include <string.h>

#include "kernel/arch/mmu.h"
#include "kernel/arch/poll.h"
#include "kernel/base/direct_map.h"

namespace drivers {

using arch::IommuPlace;
using arch::PciFunction;
using arch::ReadDevice;
using arch::WriteDevice;
using khocore::Error;
using khocore::ErrorCode;
using khocore::Ok;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::Result;
using khocore::Status;

namespace {

constexpr uint64_t kReach = uint64_t{1} << 39;  // of three levels of tables
constexpr uint64_t kRegisterBytes = 0x20000;    // as much as the larger one has

// VT-d, 11.4: registers; 9.1, 9.3 and 9.10: tables.
constexpr uint64_t kCapabilities = 0x08;
constexpr uint64_t kExtendedCapabilities = 0x10;
constexpr uint64_t kGlobalCommand = 0x18;
constexpr uint64_t kGlobalStatus = 0x1c;
constexpr uint64_t kRootTable = 0x20;
constexpr uint64_t kContextCommand = 0x28;
constexpr uint32_t kTranslation = uint32_t{1} << 31;
constexpr uint32_t kSetRoot = uint32_t{1} << 30;
constexpr uint32_t kWidth39 = 1 << 9;                // in the capabilities
constexpr uint32_t kInvalidate = uint32_t{1} << 31;  // of the upper halves
constexpr uint32_t kAllContexts = 1 << 29;
constexpr uint32_t kAllTranslations = 1 << 28;
constexpr uint64_t kPresent = 1;
constexpr uint64_t kReadWrite = 3;
constexpr uint64_t kThreeLevels = 1;  // address width of a context entry
constexpr uint64_t kDomain = uint64_t{1} << 8;

// SMMUv3, 6.3: registers; 5.2 and 5.4: stream table entry, context descriptor; 4: commands.
constexpr uint64_t kControl = 0x20;
constexpr uint64_t kControlDone = 0x24;
constexpr uint64_t kAttributes = 0x28;
constexpr uint64_t kStreamTable = 0x80;
constexpr uint64_t kStreamTableConfig = 0x88;
constexpr uint64_t kCommandQueue = 0x90;
constexpr uint64_t kCommandsWritten = 0x98;
constexpr uint64_t kCommandsRead = 0x9c;
constexpr uint32_t kSmmuOn = 1;
constexpr uint32_t kQueueOn = 1 << 3;
constexpr unsigned kStreams = 256;  // functions of bus 0
constexpr uint64_t kLogStreams = 8, kLogCommands = 8;
constexpr Order kStreamOrder = Order::FromLog2(2);
constexpr uint64_t kStreamWords = 8;
constexpr uint64_t kEntryValid = 1, kTranslateStage1 = 5 << 1;
// All that it reads is cached and inner shareable, as the CPUs have it.
constexpr uint32_t kCachedReads = 0xd75;
constexpr uint64_t kCachedContext = 1 << 2 | 1 << 4 | 3 << 6;
constexpr uint64_t kCachedTables = 1 << 8 | 1 << 10 | 3 << 12;
// Inputs of 39 bits, 4 KiB pages, upper half off, outputs of 44 bits, AArch64; faults abort and are
// recorded.
constexpr uint64_t kContext = 25 | kCachedTables | uint64_t{1} << 30 | uint64_t{1} << 31 |
                              uint64_t{4} << 32 | uint64_t{1} << 41 | uint64_t{3} << 45 |
                              uint64_t{1} << 47;
constexpr uint64_t kTableEntry = 3;
// Accessed, inner shareable, written without privilege.
constexpr uint64_t kPageEntry = 3 | 1 << 10 | 3 << 8 | 1 << 6;
constexpr uint64_t kCommands[][2] = {{0x04, 31}, {0x30, 0}, {0x46, 0}};  // all, all, and a sync

uint64_t* Words(uint64_t address) { return base::Direct<uint64_t>(PhysAddr::FromRaw(address)); }

void WriteLong(PhysAddr at, uint64_t value) {
  WriteDevice(at, static_cast<uint32_t>(value));
  WriteDevice(at + 4, static_cast<uint32_t>(value >> 32));
}

uint64_t ReadLong(PhysAddr at) { return uint64_t{ReadDevice(at + 4)} << 32 | ReadDevice(at); }

/// Waits until the bits are as `value` has them. Errors: `kVersion`.
Status Await(PhysAddr at, uint32_t bits, uint32_t value) {
  uint32_t found = 0;
  for (unsigned i = 0; i < arch::kMaxPolls; ++i) {
    found = ReadDevice(at);
    if ((found & bits) == value) return Ok{};
  }
  return Error{ErrorCode::kVersion, at, found, value};
}

bool IsOn(IommuPlace place, PhysAddr root) {
  const PhysAddr at = place.registers;
  constexpr uint64_t kAddress = 0x0000ffffffffffc0;
  if (place.kind == arch::IommuKind::kVtd) {
    return (ReadDevice(at + kGlobalStatus) & kTranslation) != 0 &&
           ReadLong(at + kRootTable) == root.raw();
  }
  return (ReadDevice(at + kControlDone) & kSmmuOn) != 0 &&
         (ReadLong(at + kStreamTable) & kAddress) == root.raw();
}

}  // namespace

Result<uint64_t> Iommu::Take(TableSource pages, Order order) {
  if (table_count_ == kMaxTables) return Error{ErrorCode::kNoSpace, {}, table_count_};
  const Result<PageFrame> head = pages(order);
  if (!head.ok()) return head.error();
  tables_[table_count_++] = {head.value(), order};
  const PhysAddr address = head.value().address();
  memset(base::Direct<void>(address), 0, order.bytes());
  return address.raw();
}

Result<uint64_t> Iommu::MapPage(TableSource pages, PhysAddr at, PageFrame page, uint64_t table,
                                uint64_t leaf) {
  constexpr unsigned kIndexBits = 9, kTopShift = 30, kPageShift = 12;
  uint64_t top = 0;
  uint64_t* link = nullptr;
  for (unsigned shift = kTopShift; shift >= kPageShift; shift -= kIndexBits) {
    const Result<uint64_t> taken = Take(pages);
    if (!taken.ok()) return taken;
    if (link == nullptr) top = taken.value();
    if (link != nullptr) *link = taken.value() | table;
    link = Words(taken.value()) + (at.raw() >> shift) % (1 << kIndexBits);
  }
  *link = page.address().raw() | leaf;
  return top;
}

Status Iommu::SwitchOnVtd(PciFunction function, PhysAddr at, PageFrame page, TableSource pages) {
  const PhysAddr registers = place_.registers;
  if ((ReadDevice(registers + kCapabilities) & kWidth39) == 0) {
    return Error{ErrorCode::kVersion, registers, ReadDevice(registers + kCapabilities), kWidth39};
  }
  const Result<uint64_t> root = Take(pages);
  if (!root.ok()) return root.error();
  const Result<uint64_t> contexts = Take(pages);
  if (!contexts.ok()) return contexts.error();
  const Result<uint64_t> top = MapPage(pages, at, page, kReadWrite, kReadWrite);
  if (!top.ok()) return top.error();
  Words(root.value())[uint64_t{function.bus} * 2] = contexts.value() | kPresent;
  uint64_t* const context =
      Words(contexts.value()) + uint64_t{function.device << 3 | function.function} * 2;
  context[1] = kThreeLevels | kDomain;
  context[0] = top.value() | kPresent;
  arch::PublishToDevices();
  root_ = PhysAddr::FromRaw(root.value());
  WriteLong(registers + kRootTable, root_.raw());
  WriteDevice(registers + kGlobalCommand, kSetRoot);
  KHOCORE_RETURN_IF_ERROR(Await(registers + kGlobalStatus, kSetRoot, kSetRoot));
  WriteLong(registers + kContextCommand, uint64_t{kInvalidate | kAllContexts} << 32);
  KHOCORE_RETURN_IF_ERROR(Await(registers + kContextCommand + 4, kInvalidate, 0));
  const uint64_t in_units_of_16 = ReadLong(registers + kExtendedCapabilities) >> 8 & 0x3ff;
  const PhysAddr translations = registers + in_units_of_16 * 16 + 8;
  WriteLong(translations, uint64_t{kInvalidate | kAllTranslations} << 32);
  KHOCORE_RETURN_IF_ERROR(Await(translations + 4, kInvalidate, 0));
  WriteDevice(registers + kGlobalCommand, kTranslation);
  return Await(registers + kGlobalStatus, kTranslation, kTranslation);
}

Status Iommu::SwitchOnSmmu(PciFunction function, PhysAddr at, PageFrame page, TableSource pages) {
  const PhysAddr registers = place_.registers;
  const unsigned stream = function.bus << 8 | function.device << 3 | function.function;
  if (stream >= kStreams) return Error{ErrorCode::kNoSpace, registers, stream, kStreams};
  const Result<uint64_t> streams = Take(pages, kStreamOrder);
  if (!streams.ok()) return streams.error();
  const Result<uint64_t> context = Take(pages);
  if (!context.ok()) return context.error();
  const Result<uint64_t> commands = Take(pages);
  if (!commands.ok()) return commands.error();
  const Result<uint64_t> top = MapPage(pages, at, page, kTableEntry, kPageEntry);
  if (!top.ok()) return top.error();
  Words(context.value())[1] = top.value();
  Words(context.value())[0] = kContext;
  Words(streams.value())[stream * kStreamWords + 1] = kCachedContext;
  Words(streams.value())[stream * kStreamWords] = context.value() | kTranslateStage1 | kEntryValid;
  memcpy(Words(commands.value()), kCommands, sizeof(kCommands));
  arch::PublishToDevices();
  root_ = PhysAddr::FromRaw(streams.value());
  WriteDevice(registers + kAttributes, kCachedReads);
  WriteLong(registers + kStreamTable, root_.raw());
  WriteDevice(registers + kStreamTableConfig, kLogStreams);
  WriteLong(registers + kCommandQueue, commands.value() | kLogCommands);
  WriteDevice(registers + kCommandsWritten, 0);
  WriteDevice(registers + kCommandsRead, 0);
  WriteDevice(registers + kControl, kQueueOn);
  KHOCORE_RETURN_IF_ERROR(Await(registers + kControlDone, kQueueOn, kQueueOn));
  constexpr uint32_t kCount = sizeof(kCommands) / sizeof(kCommands[0]);
  WriteDevice(registers + kCommandsWritten, kCount);
  KHOCORE_RETURN_IF_ERROR(Await(registers + kCommandsRead, 0xff, kCount));
  // Nobody has more commands for it.
  WriteDevice(registers + kControl, kSmmuOn);
  return Await(registers + kControlDone, kSmmuOn | kQueueOn, kSmmuOn);
}

Result<Iommu> Iommu::SwitchOn(IommuPlace place, PciFunction function, PhysAddr at, PageFrame page,
                              TableSource pages) {
  if (at.raw() >= kReach) return Error{ErrorCode::kNoSpace, at, at.raw(), kReach};
  KHOCORE_RETURN_IF_ERROR(arch::MapDevice({place.registers, kRegisterBytes}));
  Iommu iommu(place);
  KHOCORE_RETURN_IF_ERROR(place.kind == arch::IommuKind::kVtd
                              ? iommu.SwitchOnVtd(function, at, page, pages)
                              : iommu.SwitchOnSmmu(function, at, page, pages));
  return iommu;
}

Result<Iommu> Iommu::TakeOver(IommuPlace place, PhysAddr root) {
  KHOCORE_RETURN_IF_ERROR(arch::MapDevice({place.registers, kRegisterBytes}));
  if (!IsOn(place, root)) return Error{ErrorCode::kNotFound, root};
  Iommu iommu(place);
  iommu.root_ = root;
  return iommu;
}

}  // namespace drivers
