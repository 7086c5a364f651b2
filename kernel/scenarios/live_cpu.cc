// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/list.h"
#include "kernel/handover/scenario.h"
#include "kernel/scenarios/blocks.h"

namespace scenarios {
namespace {

constexpr uint64_t kMegabytes = 4;

void CreateFew(handover::Generation& generation) {
  const uint64_t wanted = generation.options.megabytes;
  CreateBlocks(generation, wanted != 0 ? wanted : kMegabytes);
}

KHORIG_SCENARIO(live_cpu) = {
    .name = "live-cpu",
    .summary = "a CPU runs on in pages of its own across every jump; the last kernel takes it back",
    .expects_refusal = false,
    .needs = "smp=2",
    .clients = clients::kOwnAndLiveCpu,
    .create = CreateFew,
    .restore = RestoreBlocks,
    .verify = VerifyBlocks,
    .preserve = PreserveBlocks};

}  // namespace
}  // namespace scenarios
