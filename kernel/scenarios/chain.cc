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

/// The same state handed on many times: what leaks or wears out shows in the number of free pages.
KHORIG_SCENARIO(chain) = {
    .name = "chain",
    .summary = "the same small state through many generations; no page may leak",
    .expects_refusal = false,
    .clients = clients::kOwn,
    .create = CreateFew,
    .restore = RestoreBlocks,
    .verify = VerifyBlocks,
    .preserve = PreserveBlocks};

/// The host damages the handover of the first generation; the second must refuse it and start
/// anew.
KHORIG_SCENARIO(refuse) = {
    .name = "refuse",
    .summary = "a handover that the host damages; the next generation must refuse it",
    .expects_refusal = true,
    .clients = clients::kOwn,
    .create = CreateFew,
    .restore = RestoreBlocks,
    .verify = VerifyBlocks,
    .preserve = PreserveBlocks};

}  // namespace
}  // namespace scenarios
