// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/jump.h"

#include "kernel/cpus/cpus.h"
#include "kernel/handover/client.h"
#include "kernel/handover/course.h"
#include "kernel/handover/live_devices.h"
#include "kernel/handover/points.h"
#include "kernel/rig/event.h"
#include "kernel/rig/stop.h"

namespace handover {
namespace {

using rig::Event;

kexec::NextKernel Load(Outgoing& outgoing) {
  Generation& generation = outgoing.generation();
  rig::Phase phase("load");
  const kexec::NextKernel next = kexec::LoadNextKernel({.info = generation.info,
                                                        .generation = generation.options.generation,
                                                        .archive = generation.archive,
                                                        .kho_root = outgoing.root().address(),
                                                        .scratch = generation.scratch,
                                                        .ram = generation.physical,
                                                        .allocator = generation.allocator,
                                                        .random = generation.random});
  phase.End();
  return next;
}

/// The tables that the copy runs on, and all that it uses through them besides destinations.
void DescribeTables(Event& event, const kexec::NextKernel& next) {
  const arch::JumpPlan& plan = next.plan;
  event.Begin("tables", '{')
      .Hex("root", plan.tables.raw())
      .Number("levels", plan.levels)
      .Text("format", plan.format)
      .Begin("pages", '[');
  for (size_t i = 0; i < plan.page_count; ++i) {
    const arch::JumpPage& page = plan.pages[i];
    event.ItemBegin('[').ItemText(page.name).ItemText(page.rights).Item(page.address.raw());
    event.End(']');
  }
  event.End(']').Begin("sources", '[');
  for (size_t i = 0; i < next.segment_count; ++i) {
    const arch::Segment& segment = next.segments[i];
    event.ItemBegin('[').ItemText(segment.name).Item(segment.source.raw()).Item(segment.bytes);
    event.End(']');
  }
  event.End(']').End('}');
}

void ReportSealed(const Outgoing& outgoing, const kexec::NextKernel& next) {
  const khocore::Tracker& tracker = outgoing.tracker();
  Event event("stop");
  event.Text("at", "sealed")
      .Hex("root", outgoing.root().address().raw())
      .Number("blocks", tracker.block_count())
      .Number("pages", tracker.page_count())
      .Number("nodes", tracker.node_count())
      .Number("ledger_pages", outgoing.ledger_pages)
      .Number("free_pages", outgoing.generation().allocator.free_pages());
  DescribeTables(event, next);
}

/// The jump starts on the CPU that booted, whichever CPU asks for it. Returns who did.
size_t AwaitJumpRequest(uint32_t generation) {
  const size_t asking = generation % cpus::CpuCount();
  size_t asked = 0;
  cpus::RunOnAllCpus([&](size_t number) {
    if (number == asking) __atomic_store_n(&asked, number, __ATOMIC_RELEASE);
  });
  return __atomic_load_n(&asked, __ATOMIC_ACQUIRE);
}

/// Prints `jump`; only `quiesce` events may follow.
void AnnounceJump(const kexec::NextKernel& next, uint32_t generation) {
  Event event("jump");
  event.Hex("to", next.entry.raw());
  if (cpus::CpuCount() > 1) event.Number("asked_by", AwaitJumpRequest(generation));
}

}  // namespace

void LoadAndJump(Outgoing& outgoing, const Scenario& scenario) {
  const kexec::NextKernel next = Load(outgoing);
  Generation& generation = outgoing.generation();
  if (generation.options.stop_at_sealed) {
    ReportSealed(outgoing, next);
    rig::WaitForHost();
  }
  rig::At<rig::Point::kSealed>(outgoing);
  LeftCpu left{generation};
  if (cpus::CpuCount() > 1) rig::At<rig::Point::kCpusParking>(left);
  const LiveDevices devices(outgoing);
  AnnounceJump(next, generation.options.generation);
  const size_t others = cpus::CpuCount() - 1;
  cpus::ParkCpus(left.loop);
  if (others != 0) Event("quiesce").Text("what", "other CPUs").Number("count", others);
  devices.Quiesce(outgoing.kept_devices());
  for (const Client* client : scenario.clients) {
    if (client->depart != nullptr) client->depart();
  }
  arch::Jump(next.plan);
}

}  // namespace handover
