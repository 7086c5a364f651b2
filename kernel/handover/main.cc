// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/arch/arch.h"
#include "kernel/base/boot_info.h"
#include "kernel/base/log.h"
#include "kernel/base/print.h"
#include "kernel/base/version.h"
#include "kernel/clients/generation_record.h"
#include "kernel/clients/ledger.h"
#include "kernel/cpus/cpus.h"
#include "kernel/handover/generation.h"
#include "kernel/handover/seal.h"
#include "kernel/kexec/kexec.h"
#include "kernel/rig/event.h"
#include "kernel/rig/fault.h"
#include "kernel/rig/scenario.h"
#include "kernel/rig/stop.h"

namespace core {
namespace {

using khocore::FragmentReader;
using khocore::PhysRange;

Options options;
Memory memory;

void ReadOptions(const boot::BootInfo& info) {
  const OptionError error = ParseOptions(info.command_line, &options);
  SetEventGeneration(options.generation);
  ArmFault(options.fault, options.generation);
  Event("boot")
      .Text("arch", arch::kName)
      .Text("version", kVersion)
      .Text("protocol", info.protocol)
      .Begin("image", '[')
      .Item(info.image.begin.raw())
      .Item(info.image.end().raw())
      .End(']')
      .Hex("parameters", info.parameters.raw())
      .Bool("handover", info.kho_root.size != 0);
  Print("%s on %s, generation %u of %u, booted by %s\n", kRelease, arch::kName, options.generation,
        options.generations, info.protocol);
  if (info.command_line_truncated) {
    EndWithError(RequestError::kUsage, "command-line", "longer than %lu bytes",
                 sizeof(info.command_line) - 1);
  }
  if (error.text != nullptr) {
    EndWithError(RequestError::kUsage, "command-line", "'%s': %s", error.token, error.text);
  }
}

const Scenario& ChooseScenario() {
  const Scenario* scenario = FindScenario(options.scenario);
  if (scenario == nullptr) {
    Print("scenarios:\n");
    ListScenarios();
    EndWithError(RequestError::kUsage, "scenario", "'%s': no such scenario", options.scenario);
  }
  return *scenario;
}

[[noreturn]] void Finish() {
  const bool failed = HasFailed();
  Event("done").Text("status", failed ? "fail" : "pass");
  arch::Exit(failed ? arch::ExitStatus::kFail : arch::ExitStatus::kPass);
}

void RestoreClients(Generation& generation, const Scenario& scenario) {
  Phase phase("restore");
  khocore::Incoming& incoming = generation.memory.incoming;
  if (scenario.relays) {
    // Its page stays: the root of the next handover is made from it.
    Require(generation.RestoreRange({incoming.root().address(), khocore::kPageSize}), "root");
  } else {
    Require(generation.RestoreObsolete(incoming.root().address()), "root");
  }
  const uint32_t jumps = Require(clients::RestoreGenerationRecord(generation), "record");
  if (jumps + 1 != generation.options.generation) {
    KHORIG_FAIL("record", "%u jumps recorded, this is generation %u", jumps,
                generation.options.generation);
  }
  if (scenario.relays) {
    scenario.restore(generation);
    phase.End(generation.restored.blocks, generation.restored.pages);
    return;
  }
  const PhysRange top = Require(incoming.Find(khocore::abi::kKhorigClient), "khorig");
  generation.incoming_top = Require(generation.RestoreFragment(top.begin), "khorig");
  Require(generation.archive.Restore(generation), "archive");
  Require(generation.log_ring.Restore(generation), "log");
  Require(generation.reserved_memory.Restore(generation), "memblock");
  Require(generation.runtime_services.Restore(generation), "runtime-services");
  Require(generation.stores.Restore(generation), "stores");
  scenario.restore(generation);
  phase.End(generation.restored.blocks, generation.restored.pages);
  if (generation.restored.pages != incoming.summary().pages ||
      generation.restored.blocks != incoming.summary().blocks) {
    KHORIG_FAIL("restore", "%lu blocks with %lu pages of %lu with %lu were taken back",
                generation.restored.blocks, generation.restored.pages, incoming.summary().blocks,
                incoming.summary().pages);
  }
}

void TakeOver(Generation& generation, const Scenario& scenario) {
  RestoreClients(generation, scenario);
  Phase verify("verify");
  clients::VerifyLedger(generation);
  generation.reserved_memory.Verify(generation);
  scenario.verify(generation);
  if (scenario.relays) {
    // What the first kernel noted did not come through the others.
    generation.runtime_services.Record(generation);
  } else {
    generation.runtime_services.Verify(generation);
  }
  verify.End();
  Event("restored")
      .Number("blocks", generation.restored.blocks)
      .Number("pages", generation.restored.pages)
      .Number("bytes", generation.restored.pages * khocore::kPageSize)
      .Number("stores", generation.stores.count())
      .Number("fragments", memory.incoming.summary().fragments)
      .Number("depth", memory.incoming.summary().fragment_depth);
  if (options.stop_at_restored) {
    Event("stop").Text("at", "restored");
    WaitForHost();
  }
  if (Fire(Fault::kPanicAfterRestore)) {
    RunOnAllCpus([](size_t number) {
      // The others do not look whether anybody panics.
      while (number != CpuCount() - 1) arch::Pause();
      *reinterpret_cast<volatile uint64_t*>(uint64_t{0x123} << 40) = 0;
    });
  }
  generation.ReleaseObsolete();
  if (scenario.relays) {
    generation.log_ring.Create(generation);
  } else {
    generation.log_ring.Adopt();
  }
}

void StartAnew(Generation& generation, const Scenario& scenario) {
  if (options.generation != 1 && !scenario.expects_refusal) {
    KHORIG_FAIL("handover", "generation %u found nothing to take over", options.generation);
    Finish();
  }
  Phase phase("create");
  generation.archive.Take(generation);
  generation.log_ring.Create(generation);
  generation.reserved_memory.Create(generation);
  generation.runtime_services.Record(generation);
  scenario.create(generation);
  phase.End();
}

/// The jump starts on the CPU that booted, whichever CPU asks for it. Returns who did.
size_t AwaitJumpRequest() {
  const size_t asking = options.generation % CpuCount();
  size_t asked = 0;
  RunOnAllCpus([&](size_t number) {
    if (number == asking) __atomic_store_n(&asked, number, __ATOMIC_RELEASE);
  });
  return __atomic_load_n(&asked, __ATOMIC_ACQUIRE);
}

/// Says so; from here on only what is switched off is said.
void AnnounceJump(const NextKernel& next) {
  Event event("jump");
  event.Hex("to", next.entry.raw());
  if (CpuCount() > 1) event.Number("asked_by", AwaitJumpRequest());
}

/// Where a defect leaves a CPU behind, or null.
void (*DefectiveLoop(Generation& generation))() {
  if (CpuCount() == 1) return nullptr;
  if (Fire(Fault::kCpuSpins)) {
    return [] {
      for (;;) arch::Pause();
    };
  }
  if (!Fire(Fault::kParkPageUnowned)) return nullptr;
  return arch::MakeLoop(Require(generation.memory.allocator.AllocatePage(), "fault").address());
}

void WriteAfterSeal(const Generation& generation) {
  if (!IsArmed(Fault::kWriteAfterSeal)) return;
  const PhysRange target = LargestPreservedBlock(generation);
  if (target.size != 0 && Fire(Fault::kWriteAfterSeal)) {
    *Direct<volatile uint8_t>(target.begin) ^= 1;
  }
}

[[noreturn]] void JumpTo(Generation& generation, const NextKernel& next) {
  WriteAfterSeal(generation);
  while (Fire(Fault::kHangBeforeJump)) arch::Pause();
  void (*const defective_loop)() = DefectiveLoop(generation);
  AnnounceJump(next);
  const size_t others = CpuCount() - 1;
  ParkCpus(defective_loop);
  if (others != 0) Event("quiesce").Text("what", "other CPUs").Number("count", others);
  arch::Quiesce([](const char* what, unsigned count) {
    Event("quiesce").Text("what", what).Number("count", count);
  });
  arch::Jump(next.plan);
}

[[noreturn]] void Run(const boot::BootInfo& info) {
  const uint64_t entered = arch::Counter();
  ReadOptions(info);
  uint64_t waited = 0;
  if (options.stop_at_entry) {
    Event("stop").Text("at", "entry");
    waited = WaitForHost();
  }
  SetUpMemory(info, options, &memory);
  ReportPhase("early-boot", arch::Counter() - entered - waited, 0, 0);
  ReportMemory(memory);
  StartCpus(info, memory.allocator);

  const Scenario& scenario = ChooseScenario();
  static Generation generation(info, options, memory);
  memory.allocator.SetRandom(&generation.random);
  if (memory.has_incoming) {
    TakeOver(generation, scenario);
  } else {
    StartAnew(generation, scenario);
  }
  if (generation.is_last()) Finish();
  Seal(generation, scenario);
  JumpTo(generation, LoadAndStop(generation));
}

}  // namespace
}  // namespace core

[[noreturn]] void KernelMain(const boot::BootInfo& info) {
  arch::InstallExceptionHandlers();
  arch::ProtectImage();
  core::Run(info);
}
