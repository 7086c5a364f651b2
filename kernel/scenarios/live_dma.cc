// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/list.h"
#include "kernel/handover/scenario.h"
#include "kernel/scenarios/blocks.h"

namespace scenarios {
namespace {

constexpr uint64_t kMegabytes = 16;

void Create(handover::Generation& generation) {
  const uint64_t wanted = generation.options.megabytes;
  CreateBlocks(generation, wanted != 0 ? wanted : kMegabytes);
}

KHORIG_SCENARIO(live_dma) = {
    .name = "live-dma",
    .summary =
        "a device writes to a preserved page across every jump, and is taken over as it runs",
    .expects_refusal = false,
    .needs = "device=edu",
    .clients = clients::kLive,
    .create = Create,
    .restore = RestoreBlocks,
    .verify = VerifyBlocks,
    .preserve = PreserveBlocks};

}  // namespace
}  // namespace scenarios
