// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/clients/points.h"
#include "kernel/drivers/edu.h"
#include "kernel/drivers/iommu.h"
#include "kernel/handover/client.h"
#include "khocore/abi/clients.h"
#include "khocore/result.h"
#include "khocore/types.h"

namespace clients {

/// A device that works across the jump: QEMU's edu writes a `LiveRecord` into a preserved page. Its
/// buffer holds the records of all transfers to come; the last thing before a jump is to start one,
/// and the next kernel takes the device over while it is under way, waits for its end, and finds
/// the count one higher. From the seal to that end no CPU writes the record.
class LiveDevice {
 public:
  /// Finds the device, allocates its page, and fills its buffer; then puts it behind the machine's
  /// IOMMU, if there is one. Errors: those of `Edu::Find`, `Iommu::SwitchOn` and of allocation,
  /// `kOutsideRam` when the device cannot reach the page.
  khocore::Status Create(handover::Generation& generation);
  /// Takes page, device and IOMMU back, without a write to any. Errors: those of the links, of
  /// restoring and of `TakeOver` of both, and `kBlobSizeRange`, `kMagic`, `kUnaligned` for a
  /// description that cannot be followed.
  khocore::Status Restore(handover::Incoming& incoming);
  /// Waits for the end of the transfer, and compares record and page with what they must be.
  void Verify(const handover::Incoming& incoming) const;
  /// Fills the buffer again when all records were used. Errors: those of allocation, and `kNoSpace`
  /// behind an IOMMU, which lets the device reach its page only.
  khocore::Status Adopt(handover::Generation& generation) const;
  /// Preserves the tables of the IOMMU.
  khocore::Status Preserve(handover::Outgoing& outgoing);
  /// Preserves the page, once the ledger is written, because the page is to change; and has bus
  /// mastering kept.
  khocore::Status Keep(handover::Outgoing& outgoing) const;
  /// Describes it for the next kernel.
  khocore::Status Serialize(handover::Outgoing& outgoing) const;
  /// Starts the transfer. Every other time it waits until that is about to end: then it ends while
  /// the next kernel is copied, and else while that boots.
  void Depart() const;

 private:
  khocore::abi::LiveRecord* record() const;
  /// Loads the records of transfers from `first` on, a multiple of as many as fit.
  khocore::Status FillBuffer(handover::Generation& generation, uint64_t first) const;

  khocore::Status RestoreIommu(handover::Incoming& incoming);
  khocore::Status SerializeIommu(handover::Outgoing& outgoing) const;

  drivers::Edu edu_;
  khocore::abi::LiveIommu iommu_ = {};  ///< of no kind when there is none
  LiveDeviceKept kept_;
  khocore::PageFrame page_ = {};
  khocore::PhysAddr bus_address_;
  uint64_t handed_count_ = 0;  ///< of the incoming description
};
inline LiveDevice live_device;

inline constexpr handover::Client kLiveDevice = {
    .name = khocore::abi::kLiveDeviceNode,
    .final_pages = 2,
    .create = [](handover::Generation& generation) { return live_device.Create(generation); },
    .restore = [](handover::Incoming& incoming) { return live_device.Restore(incoming); },
    .verify = [](handover::Incoming& incoming) { live_device.Verify(incoming); },
    .adopt = [](handover::Generation& generation) { return live_device.Adopt(generation); },
    .preserve = [](handover::Outgoing& outgoing) { return live_device.Preserve(outgoing); },
    .freeze = [](handover::Outgoing& outgoing) { return live_device.Keep(outgoing); },
    .serialize = [](handover::Outgoing& outgoing) { return live_device.Serialize(outgoing); },
    .depart = [] { live_device.Depart(); }};

}  // namespace clients
