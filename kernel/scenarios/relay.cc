// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/list.h"
#include "kernel/handover/scenario.h"

namespace scenarios {
namespace {

// Its clients do all the work.
KHORIG_SCENARIO(relay) = {
    .name = "relay",
    .summary = "a chain with other kernels: checks what came, hands it on, makes Linux's test data",
    .expects_refusal = true,
    .clients = clients::kRelay};

}  // namespace
}  // namespace scenarios
