// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/cpu.h"
#include "kernel/arch/quiesce.h"
#include "kernel/handover/client.h"
#include "kernel/handover/course.h"
#include "kernel/handover/points.h"
#include "kernel/rig/event.h"
#include "kernel/rig/require.h"
#include "kernel/rig/stop.h"

namespace handover {
namespace {

using rig::Require;

void Restore(Incoming& incoming, const Scenario& scenario) {
  rig::Phase phase("restore");
  Require(incoming.RestoreForRelease(incoming.root().address()), "root");
  for (const Client* client : scenario.clients) {
    if (client->restore != nullptr) Require(client->restore(incoming), client->name);
  }
  if (scenario.restore != nullptr) scenario.restore(incoming);
  phase.End(incoming.restored().blocks, incoming.restored().pages);
}

/// Every block that was handed over is accounted for.
void VerifyCount(const Incoming& incoming) {
  const uint64_t blocks = incoming.restored().blocks + incoming.passed_on.blocks;
  const uint64_t pages = incoming.restored().pages + incoming.passed_on.pages;
  const khocore::HandoverSummary& all = incoming.summary();
  if (blocks == all.blocks && pages == all.pages) return;
  KHORIG_FAIL("restore", "%lu blocks with %lu pages of %lu with %lu were taken back", blocks, pages,
              all.blocks, all.pages);
}

void Verify(Incoming& incoming, const Scenario& scenario) {
  rig::Phase phase("verify");
  for (const Client* client : scenario.clients) {
    if (client->verify != nullptr) client->verify(incoming);
  }
  if (scenario.verify != nullptr) scenario.verify(incoming);
  VerifyCount(incoming);
  phase.End();
}

void ReportRestored(const Incoming& incoming) {
  rig::Event("restored")
      .Number("blocks", incoming.restored().blocks)
      .Number("pages", incoming.restored().pages)
      .Number("bytes", incoming.restored().pages * khocore::kPageSize)
      .Number("stores", incoming.stores)
      .Number("fragments", incoming.summary().fragments)
      .Number("depth", incoming.summary().fragment_depth);
}

/// What a device that was left on writes late, it writes into this window: nothing else does.
void Settle(const rig::Options& options) {
  constexpr uint64_t kMillisecond = 1'000'000;
  const uint64_t started = arch::Counter();
  arch::Sleep(options.settle_ms * kMillisecond);
  const uint64_t slept = arch::Counter() - started;
  rig::Event("stop").Text("at", "settled").Number("slept", slept);
  rig::WaitForHost();
}

}  // namespace

void KeepCpus(Incoming& incoming, const Scenario& scenario) {
  for (const Client* client : scenario.clients) {
    if (client->keep_cpus != nullptr) Require(client->keep_cpus(incoming), client->name);
  }
}

void TakeOver(Incoming& incoming, const Scenario& scenario) {
  Restore(incoming, scenario);
  Verify(incoming, scenario);
  rig::At<rig::Point::kRestored>(incoming);
  ReportRestored(incoming);
  if (incoming.generation().options.stop_at_restored) {
    rig::Event("stop").Text("at", "restored");
    rig::WaitForHost();
  }
  if (incoming.generation().options.stop_at_settled) Settle(incoming.generation().options);
  rig::At<rig::Point::kTakenOver>(incoming.generation());
  incoming.Release();
  for (const Client* client : scenario.clients) {
    if (client->adopt != nullptr) Require(client->adopt(incoming.generation()), client->name);
  }
}

}  // namespace handover
