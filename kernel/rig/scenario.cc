// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/rig/scenario.h"

#include <string.h>

#include "kernel/base/print.h"

extern "C" const rig::Scenario __scenarios_begin[];
extern "C" const rig::Scenario __scenarios_end[];

namespace rig {

using base::Print;

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

}  // namespace rig
