// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>

#include "kernel/handover/client.h"
#include "khocore/abi/clients.h"
#include "khocore/result.h"

namespace clients {

/// The memory of UEFI's runtime services. No kernel of the chain calls them, but their memory stays
/// theirs: the first kernel records what is in it, and every later one finds the same there. Empty
/// on a machine that was not started by UEFI.
class RuntimeServices {
 public:
  /// More than any firmware has; what goes beyond is a `fail`.
  static constexpr size_t kMaxRegions = 128;

  /// Records and reports the regions: in the first kernel, and behind a kernel that did not carry
  /// the record.
  void Record(const handover::Generation& generation);
  /// Reads what the first kernel recorded, if it did. Errors: `kPropertySize`, and those of the
  /// link.
  khocore::Status Restore(handover::Incoming& incoming);
  /// Compares with what there is, and reports it: a region that moved in the memory map and one
  /// whose content changed are each a `fail`.
  void Verify(const handover::Incoming& incoming) const;
  /// Errors: those of the writer.
  khocore::Status Serialize(handover::Outgoing& outgoing) const;

 private:
  void Report() const;

  khocore::abi::RuntimeRegion regions_[kMaxRegions] = {};
  size_t count_ = 0;
};
inline RuntimeServices runtime_services;

inline constexpr handover::Client kRuntimeServices = {
    .name = "runtime-services",
    .final_pages = 1,
    .create = [](handover::Generation& generation) -> khocore::Status {
      runtime_services.Record(generation);
      return khocore::Ok{};
    },
    .restore = [](handover::Incoming& incoming) { return runtime_services.Restore(incoming); },
    .verify = [](handover::Incoming& incoming) { runtime_services.Verify(incoming); },
    .serialize = [](handover::Outgoing& outgoing) { return runtime_services.Serialize(outgoing); }};

/// Behind kernels that do not carry the record: each generation reports what it finds.
inline constexpr handover::Client kReportedRuntimeServices = {
    .name = kRuntimeServices.name,
    .create = kRuntimeServices.create,
    .verify = [](handover::Incoming& incoming) { runtime_services.Record(incoming.generation()); }};

}  // namespace clients
