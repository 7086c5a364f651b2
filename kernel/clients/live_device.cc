// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/live_device.h"

#include <string.h>

#include "kernel/arch/cpu.h"
#include "kernel/base/direct_map.h"
#include "kernel/rig/content.h"
#include "kernel/rig/event.h"
#include "kernel/rig/require.h"

namespace clients {
namespace {

using drivers::Edu;
using drivers::Iommu;
using khocore::Error;
using khocore::ErrorCode;
using khocore::kPageSize;
using khocore::Ok;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Result;
using khocore::Status;
using khocore::abi::LiveRecord;
namespace abi = khocore::abi;

constexpr auto& kNode = abi::kLiveDeviceNode;
constexpr char kKind[8] = "edu";
constexpr uint64_t kReach = uint64_t{1} << 32;  // of the device
constexpr uint64_t kRecordOffset = 0x400;
constexpr uint64_t kRecords = 128;
constexpr unsigned kMaxTries = 64;
/// Behind an IOMMU: RAM of no machine of less than 1.4 GiB, so that a bypass does not write it.
constexpr PhysAddr kBusAddress = PhysAddr::FromRaw(0x9a5a5000);
/// Where a transfer is to end while the next kernel is copied: so long after the copy begins.
constexpr uint64_t kEndsAfter = 20'000;

LiveRecord RecordOf(uint64_t count) { return {count, ~count}; }

uint32_t Number(arch::PciFunction function) {
  return function.bus << 8 | function.device << 3 | function.function;
}

/// A page that the device can reach. Errors: those of allocation, and `kOutsideRam`.
Result<PageFrame> AllocateReachable(memory::PageAllocator& allocator) {
  PageFrame tried[kMaxTries];
  size_t count = 0;
  Result<PageFrame> page = allocator.AllocatePage();
  while (page.ok() && page.value().address().raw() >= kReach && count < kMaxTries) {
    tried[count++] = page.value();
    page = allocator.AllocatePage();
  }
  while (count != 0) allocator.FreePage(tried[--count]);
  if (!page.ok() || page.value().address().raw() < kReach) return page;
  allocator.FreePage(page.value());
  return Error{ErrorCode::kOutsideRam, page.value().address(), 0, kReach};
}

static_assert(kRecords * sizeof(LiveRecord) < Edu::kBufferBytes);

/// What `Create` has made of the page, but for the record.
bool IsRestWhole(handover::Generation& generation, PageFrame page, const LiveRecord& written) {
  const PageFrame made = rig::Require(generation.allocator.AllocatePage(), kNode);
  rig::FillPage(made, generation.options.seed, rig::ContentOwner(kNode), 0);
  memcpy(base::Direct<void>(made.address() + kRecordOffset), &written, sizeof(written));
  const bool is_same = memcmp(base::Direct<void>(made.address()),
                              base::Direct<void>(page.address()), kPageSize) == 0;
  generation.allocator.FreePage(made);
  return is_same;
}

const char* KindOf(arch::IommuPlace place) {
  static constexpr char kVtd[8] = "vtd", kSmmuV3[8] = "smmuv3";
  return place.kind == arch::IommuKind::kVtd ? kVtd : kSmmuV3;
}

khocore::Block TableOf(uint64_t entry) {
  return {PageFrame::Containing(PhysAddr::FromRaw(entry)),
          Order::FromLog2(static_cast<unsigned>(entry % kPageSize))};
}

abi::LiveIommu Describe(const Iommu& iommu) {
  static_assert(abi::kLiveIommuTables == Iommu::kMaxTables);
  abi::LiveIommu state = {};
  memcpy(state.kind, KindOf(iommu.place()), sizeof(state.kind));
  state.registers = iommu.place().registers.raw();
  state.root = iommu.root().raw();
  for (const khocore::Block& block : iommu.tables()) {
    state.tables[state.count++] = block.begin().raw() | block.order.log2();
  }
  return state;
}

/// Links a copy of `state` in a page of the last step.
Status Link(handover::Outgoing& outgoing, const char* node, const void* state, size_t size) {
  const Result<PageFrame> page = outgoing.final_pages().AllocatePage();
  if (!page.ok()) return page.error();
  memcpy(base::Direct<void>(page.value().address()), state, size);
  KHOCORE_RETURN_IF_ERROR(outgoing.tracker().Preserve({page.value(), Order()}));
  return outgoing.AddLink(node, {page.value().address(), size});
}

}  // namespace

LiveRecord* LiveDevice::record() const {
  return base::Direct<LiveRecord>(page_.address() + kRecordOffset);
}

Status LiveDevice::FillBuffer(handover::Generation& generation, uint64_t first) const {
  const Result<PageFrame> source = AllocateReachable(generation.allocator);
  if (!source.ok()) return source.error();
  auto* const records = base::Direct<LiveRecord>(source.value().address());
  for (uint64_t i = 0; i < kRecords; ++i) records[i] = RecordOf(first + i);
  edu_.StartLoad(source.value().address(), 0, kRecords * sizeof(LiveRecord));
  if (!edu_.Wait()) KHORIG_FAIL(kNode, "the load of the buffer does not end");
  generation.allocator.FreePage(source.value());
  return Ok{};
}

Status LiveDevice::Create(handover::Generation& generation) {
  const Result<Edu> edu = Edu::Find();
  if (!edu.ok()) return edu.error();
  edu_ = edu.value();
  const Result<PageFrame> page = AllocateReachable(generation.allocator);
  if (!page.ok()) return page.error();
  page_ = page.value();
  rig::FillPage(page_, generation.options.seed, rig::ContentOwner(kNode), 0);
  *record() = RecordOf(0);
  KHOCORE_RETURN_IF_ERROR(FillBuffer(generation, 0));
  bus_address_ = page_.address();
  const arch::IommuPlace place = arch::FindIommu(generation.info);
  if (place.kind == arch::IommuKind::kNone) return Ok{};
  bus_address_ = kBusAddress;
  const Result<Iommu> iommu =
      Iommu::SwitchOn(place, edu_.function(), bus_address_, page_,
                      [&](Order order) { return generation.allocator.Allocate(order); });
  if (!iommu.ok()) return iommu.error();
  iommu_ = Describe(iommu.value());
  return Ok{};
}

Status LiveDevice::Restore(handover::Incoming& incoming) {
  const Result<PhysRange> link = incoming.FindLink(kNode);
  if (!link.ok()) return link.error();
  abi::LiveDevice state;
  if (link.value().size != sizeof(state)) {
    return Error{ErrorCode::kBlobSizeRange, link.value().begin, link.value().size, sizeof(state)};
  }
  memcpy(&state, base::Direct<void>(link.value().begin), sizeof(state));
  KHOCORE_RETURN_IF_ERROR(incoming.RestoreForRelease(link.value().begin));
  const PhysAddr page = PhysAddr::FromRaw(state.page);
  if (memcmp(state.kind, kKind, sizeof(kKind)) != 0) {
    return Error{ErrorCode::kMagic, link.value().begin};
  }
  if (state.page % kPageSize != 0 || state.bus_address % kPageSize != 0) {
    return Error{ErrorCode::kUnaligned, page, state.bus_address};
  }
  if (state.offset != kRecordOffset || state.bytes != sizeof(LiveRecord)) {
    return Error{ErrorCode::kBlobSizeRange, page + state.offset, state.bytes, sizeof(LiveRecord)};
  }
  page_ = PageFrame::Containing(page);
  KHOCORE_RETURN_IF_ERROR(incoming.RestoreBlock({page_, Order()}));
  const arch::PciFunction function = {state.function >> 8, state.function >> 3 & 0x1f,
                                      state.function & 7};
  const Result<Edu> edu = Edu::TakeOver(function, PhysAddr::FromRaw(state.registers));
  if (!edu.ok()) return edu.error();
  edu_ = edu.value();
  bus_address_ = PhysAddr::FromRaw(state.bus_address);
  handed_count_ = state.count;
  return RestoreIommu(incoming);
}

Status LiveDevice::RestoreIommu(handover::Incoming& incoming) {
  const Result<PhysRange> link = incoming.FindLink(abi::kLiveIommuNode);
  if (!link.ok()) return link.error().code == ErrorCode::kNotFound ? Status(Ok{}) : link.error();
  const PhysRange blob = link.value();
  if (blob.size != sizeof(iommu_)) {
    return Error{ErrorCode::kBlobSizeRange, blob.begin, blob.size, sizeof(iommu_)};
  }
  memcpy(&iommu_, base::Direct<void>(blob.begin), sizeof(iommu_));
  KHOCORE_RETURN_IF_ERROR(incoming.RestoreForRelease(blob.begin));
  const arch::IommuPlace place = arch::FindIommu(incoming.generation().info);
  if (place.kind == arch::IommuKind::kNone || memcmp(iommu_.kind, KindOf(place), 8) != 0 ||
      place.registers.raw() != iommu_.registers) {
    return Error{ErrorCode::kMagic, blob.begin, place.registers.raw(), iommu_.registers};
  }
  if (iommu_.count > abi::kLiveIommuTables) {
    return Error{ErrorCode::kBlobSizeRange, blob.begin, iommu_.count, abi::kLiveIommuTables};
  }
  for (uint64_t i = 0; i < iommu_.count; ++i) {
    KHOCORE_RETURN_IF_ERROR(incoming.RestoreBlock(TableOf(iommu_.tables[i])));
  }
  const Result<Iommu> iommu = Iommu::TakeOver(place, PhysAddr::FromRaw(iommu_.root));
  return iommu.ok() ? Status(Ok{}) : iommu.error();
}

void LiveDevice::Verify(const handover::Incoming& incoming) const {
  if (!edu_.Wait()) KHORIG_FAIL(kNode, "the transfer does not end");
  const volatile LiveRecord* const written = record();
  const LiveRecord found = {written->count, written->check};
  rig::Event("counter").Text("what", kNode).Number("value", found.count);
  if (found.count != handed_count_ + 1 || found.check != ~found.count) {
    KHORIG_FAIL(kNode, "record of transfer %lu with the check 0x%lx, expected transfer %lu",
                found.count, found.check, handed_count_ + 1);
  }
  if (!IsRestWhole(incoming.generation(), page_, found)) {
    KHORIG_FAIL(kNode, "page 0x%lx changed outside of the record", page_.address().raw());
  }
}

Status LiveDevice::Adopt(handover::Generation& generation) const {
  const uint64_t next = record()->count + 1;
  if (next % kRecords != 0) return Ok{};
  if (iommu_.count != 0) return Error{ErrorCode::kNoSpace, page_.address(), next, kRecords};
  return FillBuffer(generation, next);
}

Status LiveDevice::Preserve(handover::Outgoing& outgoing) {
  kept_.has_iommu = iommu_.count != 0;
  rig::At<rig::Point::kLiveDeviceKeeping>(kept_);
  for (uint64_t i = 0; i < iommu_.count && kept_.tables; ++i) {
    KHOCORE_RETURN_IF_ERROR(outgoing.tracker().Preserve(TableOf(iommu_.tables[i])));
  }
  return Ok{};
}

Status LiveDevice::Keep(handover::Outgoing& outgoing) const {
  if (kept_.master) KHOCORE_RETURN_IF_ERROR(outgoing.KeepDevice(edu_.function()));
  return kept_.page ? outgoing.tracker().Preserve({page_, Order()}) : Status(Ok{});
}

Status LiveDevice::SerializeIommu(handover::Outgoing& outgoing) const {
  if (iommu_.count == 0) return Ok{};
  return Link(outgoing, abi::kLiveIommuNode, &iommu_, sizeof(iommu_));
}

Status LiveDevice::Serialize(handover::Outgoing& outgoing) const {
  abi::LiveDevice state = {.kind = {},
                           .function = Number(edu_.function()),
                           .bytes = sizeof(LiveRecord),
                           .registers = edu_.registers().raw(),
                           .page = page_.address().raw(),
                           .bus_address = bus_address_.raw(),
                           .offset = kRecordOffset,
                           .count = record()->count};
  memcpy(state.kind, kKind, sizeof(kKind));
  KHOCORE_RETURN_IF_ERROR(Link(outgoing, kNode, &state, sizeof(state)));
  return SerializeIommu(outgoing);
}

void LiveDevice::Depart() const {
  const uint64_t number = record()->count + 1;
  const uint64_t end = Edu::EndOfTransfer() - kEndsAfter;
  edu_.StartStore(bus_address_ + kRecordOffset,
                  static_cast<uint32_t>(number % kRecords * sizeof(LiveRecord)),
                  sizeof(LiveRecord));
  const uint64_t now = arch::Counter();
  if (number % 2 != 0 || now >= end) return;
  // No part of what a jump costs.
  rig::Event("quiesce").Text("what", kNode).Number("count", 0).Number("waits", end - now);
  while (arch::Counter() < end) {
  }
}

}  // namespace clients
