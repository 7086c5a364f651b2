// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/live_cpu.h"

#include <string.h>

#include "kernel/arch/cpu.h"
#include "kernel/arch/live_cpu.h"
#include "kernel/base/direct_map.h"
#include "kernel/cpus/cpus.h"
#include "kernel/rig/event.h"

namespace clients {

using khocore::Error;
using khocore::ErrorCode;
using khocore::Ok;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Result;
using khocore::Status;
using khocore::abi::LiveCpu;
using khocore::abi::LiveCpuCounter;
using khocore::abi::LiveCpuPage;
using rig::EndWithError;
using rig::RequestError;

namespace {

constexpr char kNode[] = "live-cpu";
/// How long the CPU may take for an iteration: longer than any emulator lets another one run.
constexpr uint64_t kPatienceNs = 2'000'000'000;

PageFrame PageAt(uint64_t physical) { return PageFrame::Containing(PhysAddr::FromRaw(physical)); }

const volatile LiveCpuCounter& CounterOf(const LiveCpu& cpu) {
  return *base::Direct<const volatile LiveCpuCounter>(PhysAddr::FromRaw(cpu.counter.physical));
}

/// Calls `visit` with each page that the CPU only reads; an error ends it.
template <typename Visit>
Status ForEachConstantPage(const LiveCpu& cpu, Visit visit) {
  KHOCORE_RETURN_IF_ERROR(visit(PageAt(cpu.text.physical)));
  KHOCORE_RETURN_IF_ERROR(visit(PageAt(cpu.mailbox.physical)));
  for (uint64_t i = 0; i < cpu.table_count; ++i) {
    KHOCORE_RETURN_IF_ERROR(visit(PageAt(cpu.tables[i])));
  }
  return Ok{};
}

/// The same with those that it writes.
template <typename Visit>
Status ForEachWrittenPage(const LiveCpu& cpu, Visit visit) {
  KHOCORE_RETURN_IF_ERROR(visit(PageAt(cpu.stack.physical)));
  return visit(PageAt(cpu.counter.physical));
}

Status AllocateZeroed(handover::Generation& generation, uint64_t* physical) {
  const Result<PageFrame> page = generation.allocator.AllocatePage();
  if (!page.ok()) return page.error();
  memset(base::Direct<void>(page.value().address()), 0, khocore::kPageSize);
  *physical = page.value().address().raw();
  return Ok{};
}

/// False when that does not happen in time.
template <typename Condition>
bool Await(Condition condition) {
  const uint64_t begin = arch::Counter();
  while (!condition()) {
    if (arch::Counter() - begin > kPatienceNs) return false;
    arch::Pause();
  }
  return true;
}

}  // namespace

LiveCpu* LiveCpuClient::cpu() const {
  return page_ == PageFrame() ? nullptr : base::Direct<LiveCpu>(page_.address());
}

uint64_t LiveCpuClient::iterations() const { return CounterOf(*cpu()).iterations; }

void LiveCpuClient::Report() const {
  rig::Event("counter").Text("what", "iterations").Number("value", iterations());
}

Status LiveCpuClient::Start(handover::Generation& generation) {
  const size_t tables = arch::LiveCpuTables();
  if (tables == 0) {
    EndWithError(RequestError::kUsage, "live-cpu", "no CPU can run on across a jump here");
  }
  if (cpus::CpuCount() == 1) {
    EndWithError(RequestError::kUsage, "live-cpu", "takes a CPU besides the first one: --smp 2");
  }
  uint64_t page = 0;
  KHOCORE_RETURN_IF_ERROR(AllocateZeroed(generation, &page));
  page_ = PageAt(page);
  LiveCpu& live = *cpu();
  live.magic = khocore::abi::kLiveCpuMagic;
  live.hardware_id = cpus::LastCpu();
  live.table_count = tables;
  for (size_t i = 0; i < tables; ++i) {
    KHOCORE_RETURN_IF_ERROR(AllocateZeroed(generation, &live.tables[i]));
  }
  LiveCpuPage* const parts[] = {&live.text, &live.stack, &live.counter, &live.mailbox};
  for (LiveCpuPage* part : parts) {
    KHOCORE_RETURN_IF_ERROR(AllocateZeroed(generation, &part->physical));
  }
  arch::PrepareLiveCpu(&live);
  StartingCpu starting{generation, live, [] { arch::EnterLiveCpu(*live_cpu.cpu()); }};
  rig::At<rig::Point::kLiveCpuStarting>(starting);
  cpus::SendAway(starting.leave);
  if (!Await([&] { return iterations() != 0; })) {
    KHORIG_FAIL(kNode, "CPU 0x%lx does not count", live.hardware_id);
  }
  Report();
  return Ok{};
}

Status LiveCpuClient::Find(handover::Incoming& incoming) {
  const Result<PhysRange> link = incoming.FindLink(kNode);
  if (!link.ok()) return link.error();
  const PhysRange blob = link.value();
  if (blob.size != sizeof(LiveCpu) || !blob.begin.IsAligned(khocore::kPageSize)) {
    return Error{ErrorCode::kBlobSizeRange, blob.begin, blob.size, sizeof(LiveCpu)};
  }
  const auto* live = base::Direct<const LiveCpu>(blob.begin);
  if (live->magic != khocore::abi::kLiveCpuMagic) {
    return Error{ErrorCode::kMagic, blob.begin, live->magic, khocore::abi::kLiveCpuMagic};
  }
  if (live->table_count == 0 || live->table_count > LiveCpu::kMaxTables) {
    return Error{ErrorCode::kBlobSizeRange, blob.begin, live->table_count, LiveCpu::kMaxTables};
  }
  const uint64_t parts[] = {live->text.physical, live->stack.physical, live->counter.physical,
                            live->mailbox.physical};
  for (const uint64_t part : parts) {
    const PhysAddr address = PhysAddr::FromRaw(part);
    if (!address.IsAligned(khocore::kPageSize)) return Error{ErrorCode::kUnaligned, address};
  }
  page_ = PageFrame::Containing(blob.begin);
  return Ok{};
}

Status LiveCpuClient::Keep(handover::Incoming& incoming) {
  KHOCORE_RETURN_IF_ERROR(Find(incoming));
  cpus::KeepAway(cpu()->hardware_id);
  return Ok{};
}

Status LiveCpuClient::Restore(handover::Incoming& incoming) {
  KHOCORE_RETURN_IF_ERROR(Find(incoming));
  const auto restore = [&](PageFrame page) { return incoming.RestoreBlock({page, Order()}); };
  KHOCORE_RETURN_IF_ERROR(restore(page_));
  KHOCORE_RETURN_IF_ERROR(ForEachConstantPage(*cpu(), restore));
  return ForEachWrittenPage(*cpu(), restore);
}

void LiveCpuClient::Verify() {
  const uint64_t before = cpu()->iterations;
  if (!Await([&] { return iterations() > before; })) {
    KHORIG_FAIL(kNode, "CPU 0x%lx has stopped: %lu iterations, there were %lu before the jump",
                cpu()->hardware_id, iterations(), before);
  }
  Report();
}

Status LiveCpuClient::Adopt(handover::Generation& generation) {
  if (!generation.is_last()) return Ok{};
  const LiveCpu& live = *cpu();
  *base::Direct<volatile uint64_t>(PhysAddr::FromRaw(live.mailbox.physical)) =
      arch::LiveCpuLeaves();
  if (!Await([&] { return CounterOf(live).has_left != 0; }) ||
      !cpus::TakeBack(generation.info, generation.allocator)) {
    KHORIG_FAIL(kNode, "CPU 0x%lx does not come back", live.hardware_id);
    return Ok{};
  }
  Report();
  const auto free = [&](PageFrame page) { return generation.allocator.Free(page); };
  KHOCORE_RETURN_IF_ERROR(ForEachConstantPage(live, free));
  KHOCORE_RETURN_IF_ERROR(ForEachWrittenPage(live, free));
  KHOCORE_RETURN_IF_ERROR(free(page_));
  page_ = PageFrame();
  return Ok{};
}

Status LiveCpuClient::Preserve(handover::Outgoing& outgoing) {
  cpu()->iterations = iterations();
  Report();
  const auto preserve = [&](PageFrame page) {
    return outgoing.tracker().Preserve({page, Order()});
  };
  KHOCORE_RETURN_IF_ERROR(preserve(page_));
  return ForEachConstantPage(*cpu(), preserve);
}

Status LiveCpuClient::Freeze(handover::Outgoing& outgoing) const {
  return ForEachWrittenPage(
      *cpu(), [&](PageFrame page) { return outgoing.tracker().Preserve({page, Order()}); });
}

Status LiveCpuClient::Serialize(handover::Outgoing& outgoing) const {
  return outgoing.AddLink(kNode, {page_.address(), sizeof(LiveCpu)});
}

}  // namespace clients
