// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/live_device.h"

#include <string.h>

#include "kernel/arch/cpu.h"
#include "kernel/base/direct_map.h"
#include "kernel/clients/points.h"
#include "kernel/rig/content.h"
#include "kernel/rig/event.h"
#include "kernel/rig/require.h"

namespace clients {
namespace {

using drivers::Edu;
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
  bus_address_ = page_.address();
  rig::FillPage(page_, generation.options.seed, rig::ContentOwner(kNode), 0);
  *record() = RecordOf(0);
  return FillBuffer(generation, 0);
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
  return Ok{};
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
  return next % kRecords == 0 ? FillBuffer(generation, next) : Status(Ok{});
}

Status LiveDevice::Preserve(handover::Outgoing& outgoing) const {
  LiveDeviceKept kept;
  rig::At<rig::Point::kLiveDeviceKeeping>(kept);
  if (kept.master) KHOCORE_RETURN_IF_ERROR(outgoing.KeepDevice(edu_.function()));
  return kept.page ? outgoing.tracker().Preserve({page_, Order()}) : Status(Ok{});
}

Status LiveDevice::Serialize(handover::Outgoing& outgoing) const {
  const Result<PageFrame> page = outgoing.final_pages().AllocatePage();
  if (!page.ok()) return page.error();
  abi::LiveDevice state = {.kind = {},
                           .function = Number(edu_.function()),
                           .bytes = sizeof(LiveRecord),
                           .registers = edu_.registers().raw(),
                           .page = page_.address().raw(),
                           .bus_address = bus_address_.raw(),
                           .offset = kRecordOffset,
                           .count = record()->count};
  memcpy(state.kind, kKind, sizeof(kKind));
  memcpy(base::Direct<void>(page.value().address()), &state, sizeof(state));
  KHOCORE_RETURN_IF_ERROR(outgoing.tracker().Preserve({page.value(), Order()}));
  return outgoing.AddLink(kNode, {page.value().address(), sizeof(state)});
}

void LiveDevice::Depart() const {
  const uint64_t number = record()->count + 1;
  const uint64_t end = Edu::EndOfTransfer();
  edu_.StartStore(bus_address_ + kRecordOffset,
                  static_cast<uint32_t>(number % kRecords * sizeof(LiveRecord)),
                  sizeof(LiveRecord));
  if (number % 2 != 0) return;
  while (arch::Counter() + kEndsAfter < end) {
  }
}

}  // namespace clients
