// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/handover/scenario.h"

#include <string.h>

#include "kernel/console/print.h"

extern "C" const handover::Scenario __scenarios_begin[];
extern "C" const handover::Scenario __scenarios_end[];

namespace handover {

using console::Print;

const Scenario* FindScenario(const char* name) {
  for (const Scenario* at = __scenarios_begin; at != __scenarios_end; ++at) {
    if (strcmp(at->name, name) == 0) return at;
  }
  return nullptr;
}

void ListScenarios() {
  for (const Scenario* at = __scenarios_begin; at != __scenarios_end; ++at) {
    Print("  %-12s %s\n", at->name, at->summary);
  }
}

}  // namespace handover
