// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/jump.h"

#include "kernel/cpus/cpus.h"
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

void StopSealed(const Outgoing& outgoing) {
  const khocore::Tracker& tracker = outgoing.tracker();
  Event("stop")
      .Text("at", "sealed")
      .Hex("root", outgoing.root().address().raw())
      .Number("blocks", tracker.block_count())
      .Number("pages", tracker.page_count())
      .Number("nodes", tracker.node_count())
      .Number("ledger_pages", outgoing.ledger_pages)
      .Number("free_pages", outgoing.generation().allocator.free_pages());
  rig::WaitForHost();
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

void LoadAndJump(Outgoing& outgoing) {
  const kexec::NextKernel next = Load(outgoing);
  Generation& generation = outgoing.generation();
  if (generation.options.stop_at_sealed) StopSealed(outgoing);
  rig::At<rig::Point::kSealed>(outgoing);
  LeftCpu left{generation};
  if (cpus::CpuCount() > 1) rig::At<rig::Point::kCpusParking>(left);
  const LiveDevices devices(generation.allocator);
  AnnounceJump(next, generation.options.generation);
  const size_t others = cpus::CpuCount() - 1;
  cpus::ParkCpus(left.loop);
  if (others != 0) Event("quiesce").Text("what", "other CPUs").Number("count", others);
  devices.Quiesce();
  arch::Jump(next.plan);
}

}  // namespace handover
