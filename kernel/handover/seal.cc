// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/cpu.h"
#include "kernel/handover/client.h"
#include "kernel/handover/course.h"
#include "kernel/handover/points.h"
#include "kernel/rig/require.h"
#include "kernel/rig/stop.h"

namespace handover {
namespace {

using rig::Require;

void Preserve(Outgoing& outgoing, const Scenario& scenario) {
  TrackerNodes nodes{outgoing.generation(), &outgoing.generation().allocator};
  rig::At<rig::Point::kTrackerStarting>(nodes);
  Require(outgoing.Begin(*nodes.pages, FinalPages(scenario.clients)), "tracker");
  if (scenario.preserve != nullptr) scenario.preserve(outgoing);
  for (const Client* client : scenario.clients) {
    if (client->preserve != nullptr) Require(client->preserve(outgoing), client->name);
  }
}

void Freeze(Outgoing& outgoing, const Scenario& scenario) {
  for (const Client* client : scenario.clients) {
    if (client->freeze != nullptr) Require(client->freeze(outgoing), client->name);
  }
}

void Serialize(Outgoing& outgoing, const Scenario& scenario) {
  Require(outgoing.Open(), "root");
  for (const Client* client : scenario.clients) {
    if (client->serialize != nullptr) Require(client->serialize(outgoing), client->name);
  }
  Require(outgoing.Close(), "khorig");
}

}  // namespace

void Seal(Outgoing& outgoing, const Scenario& scenario) {
  rig::Phase serialize("serialize");
  Preserve(outgoing, scenario);
  serialize.Suspend();
  rig::At<rig::Point::kPreserved>(outgoing);
  Freeze(outgoing, scenario);
  serialize.Resume();
  const uint64_t begun = arch::Counter();
  Serialize(outgoing, scenario);
  const uint64_t finalize = arch::Counter() - begun;
  serialize.End(outgoing.tracker().block_count(), outgoing.tracker().page_count());
  rig::ReportPhase("finalize", finalize, 0, 0);
  rig::At<rig::Point::kSealing>(outgoing);
}

}  // namespace handover
