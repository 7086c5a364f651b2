// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/handover/course.h"

#include "kernel/arch/cpu.h"
#include "kernel/arch/exceptions.h"
#include "kernel/arch/exit.h"
#include "kernel/arch/mmu.h"
#include "kernel/arch/modes.h"
#include "kernel/base/boot_info.h"
#include "kernel/base/version.h"
#include "kernel/console/print.h"
#include "kernel/cpus/cpus.h"
#include "kernel/cpus/panic.h"
#include "kernel/handover/client.h"
#include "kernel/handover/found_devices.h"
#include "kernel/handover/points.h"
#include "kernel/memory/holes.h"
#include "kernel/memory/memory.h"
#include "kernel/rig/event.h"
#include "kernel/rig/fault.h"
#include "kernel/rig/require.h"
#include "kernel/rig/stop.h"

namespace handover {
namespace {

using console::Print;
using rig::EndWithError;
using rig::Event;
using rig::Options;
using rig::RequestError;
using rig::Require;

void ReadOptions(const base::BootInfo& info, Options* options) {
  const rig::OptionError error = rig::ParseOptions(info.command_line, options);
  rig::SetEventGeneration(options->generation);
  rig::ArmFault(options->fault, options->generation);
  Event("boot")
      .Text("arch", arch::kName)
      .Text("version", base::kVersion)
      .Text("protocol", info.protocol)
      .Begin("image", '[')
      .Item(info.image.begin.raw())
      .Item(info.image.end().raw())
      .End(']')
      .Hex("parameters", info.parameters.raw())
      .Bool("handover", info.has_handover);
  Print("%s on %s, generation %u of %u, booted by %s\n", base::kRelease, arch::kName,
        options->generation, options->generations, info.protocol);
  if (info.command_line_truncated) {
    EndWithError(RequestError::kUsage, "command-line", "longer than %lu bytes",
                 sizeof(info.command_line) - 1);
  }
  if (error.text != nullptr) {
    EndWithError(RequestError::kUsage, "command-line", "'%s': %s", error.token, error.text);
  }
}

/// Returns the virtual time spent waiting, in nanoseconds.
uint64_t StopAtEntry(const Options& options) {
  if (!options.stop_at_entry) return 0;
  Event("stop").Text("at", "entry");
  return rig::WaitForHost();
}

/// How many levels of page tables the command line asks for, or else the CPU has; 0 where there is
/// no choice.
unsigned WantedTableLevels(const Options& options) {
  const unsigned most = arch::ReadTableLevels().most;
  const size_t count = options.la57_count;
  if (count == 0) return most;
  const bool on = options.la57[(options.generation - 1) % count];
  if (on && most < 5) {
    EndWithError(RequestError::kUsage, "la57", "'on': this CPU has no five-level paging");
  }
  return most == 0 ? 0 : on ? 5 : 4;
}

void SetModes(const base::BootInfo& info, const Options& options) {
  Modes modes{WantedTableLevels(options)};
  rig::At<rig::Point::kModesSetting>(modes);
  if (modes.levels != 0) {
    if (!arch::SwitchTableLevels(modes.levels, info)) {
      EndWithError(RequestError::kUsage, "la57", "no room below 1 MiB to change to %u levels",
                   modes.levels);
    }
    Event("mode").Number("levels", arch::ReadTableLevels().used);
  }
  arch::EnableProtections();
  rig::At<rig::Point::kModesSet>(modes);
}

const Scenario& ChooseScenario(const Options& options) {
  const Scenario* scenario = FindScenario(options.scenario);
  if (scenario == nullptr) {
    Print("scenarios:\n");
    ListScenarios();
    EndWithError(RequestError::kUsage, "scenario", "'%s': no such scenario", options.scenario);
  }
  return *scenario;
}

[[noreturn]] void Finish() {
  const bool failed = rig::HasFailed();
  Event("done").Text("status", failed ? "fail" : "pass");
  arch::Exit(failed ? arch::ExitStatus::kFail : arch::ExitStatus::kPass);
}

/// The machine as the boot protocol describes it, but for holes.
const base::BootInfo* MachineOf(const base::BootInfo* info, const Options& options) {
  if (options.holes == 0 || info->has_handover) return info;
  static base::BootInfo machine;
  machine = *info;
  const uint32_t made = memory::AddHoles(options.holes, &machine);
  if (made == options.holes) return &machine;
  EndWithError(RequestError::kNoMemory, "no-memory", "no room for %u holes in RAM, only for %u",
               options.holes, made);
}

/// From entry to jump. The objects are in the image, because a stack has no room for them.
[[noreturn]] void Run(const base::BootInfo& booted) {
  static Options options;
  static memory::Memory memory;
  const uint64_t entered = arch::Counter();
  ReadOptions(booted, &options);
  const base::BootInfo& info = *MachineOf(&booted, options);
  const uint64_t waited = StopAtEntry(options);
  SetModes(info, options);
  memory::SetUpMemory(info, options, &memory);
  ReportFoundDevices();
  rig::ReportPhase("early-boot", arch::Counter() - entered - waited, 0, 0);
  memory::ReportMemory(memory);

  const Scenario& scenario = ChooseScenario(options);
  static Generation generation{
      .info = info,
      .options = options,
      .physical = memory.physical,
      .scratch = memory.scratch,
      .allocator = memory.allocator,
      .random = base::Random::ForPurpose(options.seed + options.generation, "placement")};
  static Incoming incoming(generation, memory);
  if (memory.has_incoming) KeepCpus(incoming, scenario);
  cpus::StartCpus(info, memory.allocator);
  memory.allocator.SetRandom(&generation.random);
  if (memory.has_incoming) {
    TakeOver(incoming, scenario);
  } else {
    StartCold(generation, scenario, memory.has_refused);
  }
  if (generation.is_last()) Finish();
  if (scenario.work != nullptr) scenario.work(generation);
  static Outgoing outgoing(generation);
  Seal(outgoing, scenario);
  LoadAndJump(outgoing, scenario);
}

}  // namespace

void StartCold(Generation& generation, const Scenario& scenario, bool has_refused) {
  if (generation.options.generation != 1 && !(scenario.expects_refusal && has_refused)) {
    KHORIG_FAIL("handover", "generation %u found nothing to take over",
                generation.options.generation);
    Finish();
  }
  rig::Phase phase("create");
  for (const Client* client : scenario.clients) {
    if (client->create != nullptr) Require(client->create(generation), client->name);
  }
  if (scenario.create != nullptr) scenario.create(generation);
  phase.End();
}

}  // namespace handover

[[noreturn]] void KernelMain(const base::BootInfo& info) {
  arch::InstallExceptionHandlers(cpus::kExceptionHandlers);
  arch::ProtectImage();
  handover::Run(info);
}
