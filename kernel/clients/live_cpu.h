// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/handover/client.h"
#include "kernel/rig/fault.h"
#include "khocore/abi/clients.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace clients {

/// A CPU that is about to run on for itself: it calls `leave`.
struct StartingCpu {
  handover::Generation& generation;
  khocore::abi::LiveCpu& cpu;
  void (*leave)();
};

/// The last CPU of the machine, which executes a loop of its own while kernels come and go, from
/// the first generation on, until the last one takes it back. Its description lies in a page of its
/// own, every page of it is a block of order 0.
class LiveCpuClient {
 public:
  /// Takes the last CPU for it, and waits until it counts. Ends the run where there is none.
  /// Errors: `kOutOfMemory`.
  khocore::Status Start(handover::Generation& generation);
  /// Keeps this kernel from starting the CPU. Errors: those of `Find`.
  khocore::Status Keep(handover::Incoming& incoming);
  /// Takes its pages back. Errors: those of `Find` and of restoring.
  khocore::Status Restore(handover::Incoming& incoming);
  /// It has counted since it was handed over.
  void Verify();
  /// The last generation takes the CPU back and frees its pages. Errors: those of freeing.
  khocore::Status Adopt(handover::Generation& generation);
  /// Preserves the pages that the CPU does not write. Errors: those of preserving.
  khocore::Status Preserve(handover::Outgoing& outgoing);
  /// Preserves those that it writes: the ledger, which is written by now, has no hash of them.
  /// Errors: those of preserving.
  khocore::Status Freeze(handover::Outgoing& outgoing) const;
  khocore::Status Serialize(handover::Outgoing& outgoing) const;

  /// What is handed over, or null before `Start` and `Restore`.
  khocore::abi::LiveCpu* cpu() const;

 private:
  /// Sets `page_`. Errors: `kBlobSizeRange`, `kMagic`, and those of links.
  khocore::Status Find(handover::Incoming& incoming);
  uint64_t iterations() const;
  void Report() const;

  khocore::PageFrame page_;
};
inline LiveCpuClient live_cpu;

inline constexpr handover::Client kLiveCpu = {
    .name = "live-cpu",
    .create = [](handover::Generation& generation) { return live_cpu.Start(generation); },
    .keep_cpus = [](handover::Incoming& incoming) { return live_cpu.Keep(incoming); },
    .restore = [](handover::Incoming& incoming) { return live_cpu.Restore(incoming); },
    .verify = [](handover::Incoming&) { live_cpu.Verify(); },
    .adopt = [](handover::Generation& generation) { return live_cpu.Adopt(generation); },
    .preserve = [](handover::Outgoing& outgoing) { return live_cpu.Preserve(outgoing); },
    .freeze = [](handover::Outgoing& outgoing) { return live_cpu.Freeze(outgoing); },
    .serialize = [](handover::Outgoing& outgoing) { return live_cpu.Serialize(outgoing); }};

}  // namespace clients

namespace rig {

template <>
struct ContextOf<Point::kLiveCpuStarting> {
  using Type = clients::StartingCpu;
};

}  // namespace rig
