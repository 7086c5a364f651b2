// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/foreign.h"
#include "kernel/rig/scenario.h"
#include "khocore/abi/clients.h"
#include "khocore/abi/kho_test.h"

namespace scenarios {
namespace {

using core::Generation;
using core::Require;

constexpr uint64_t kMegabytes = 8;  // as Linux's module

void Create(Generation& generation) {
  const uint64_t megabytes = generation.options.megabytes;
  Require(generation.kho_test.Create(generation, (megabytes != 0 ? megabytes : kMegabytes) << 20),
          khocore::abi::kKhoTestClient);
}

void Restore(Generation& generation) {
  clients::ReportClients(generation);
  Require(clients::CheckKhoTest(generation), khocore::abi::kKhoTestClient);
  // As with Linux, reserved memory is taken back when the command line asks for it.
  if (generation.options.reserved_count != 0) {
    Require(generation.reserved_memory.Restore(generation), khocore::abi::kMemblockClient);
  }
  generation.archive.Take(generation);
}

void Preserve(Generation& generation) {
  Require(generation.kho_test.Preserve(generation), khocore::abi::kKhoTestClient);
}

// What came is checked as it is taken back.
void Verify(Generation&) {}

KHORIG_SCENARIO(relay) = {
    .name = "relay",
    .summary = "a chain with other kernels: checks what came, hands it on, makes Linux's test data",
    .expects_refusal = true,
    .relays = true,
    .create = Create,
    .restore = Restore,
    .verify = Verify,
    .preserve = Preserve};

}  // namespace
}  // namespace scenarios
