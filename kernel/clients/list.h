// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "kernel/clients/archive.h"
#include "kernel/clients/foreign.h"
#include "kernel/clients/generation_record.h"
#include "kernel/clients/kho_test.h"
#include "kernel/clients/ledger.h"
#include "kernel/clients/live_cpu.h"
#include "kernel/clients/live_device.h"
#include "kernel/clients/log_ring.h"
#include "kernel/clients/reserved_memory.h"
#include "kernel/clients/runtime_services.h"
#include "kernel/clients/stores.h"
#include "kernel/handover/client.h"

namespace clients {

// The lists of clients that a scenario can name. A step is done in the order of the list.

/// Between khorig and khorig: everything that came is restored, and the ledger accounts for it.
inline constexpr const handover::Client* kOwnList[] = {
    &kGenerationRecord, &kArchive,         &kLogRing, &kLedger,
    &kReservedMemory,   &kRuntimeServices, &kStores,
};
inline constexpr handover::Clients kOwn = {kOwnList, sizeof(kOwnList) / sizeof(kOwnList[0])};
static_assert(handover::FinalPages(kOwn) <= handover::PageReserve::kMaxPages);

/// The same with a device that works across the jump. Its page is preserved after the ledger.
inline constexpr const handover::Client* kLiveList[] = {
    &kGenerationRecord, &kArchive,         &kLogRing, &kLedger,
    &kReservedMemory,   &kRuntimeServices, &kStores,  &kLiveDevice,
};
inline constexpr handover::Clients kLive = {kLiveList, sizeof(kLiveList) / sizeof(kLiveList[0])};
static_assert(handover::FinalPages(kLive) <= handover::PageReserve::kMaxPages);
/// The same with a CPU that runs on. It comes behind the ledger.
inline constexpr const handover::Client* kOwnAndLiveCpuList[] = {
    &kGenerationRecord, &kArchive,         &kLogRing, &kLedger,
    &kReservedMemory,   &kRuntimeServices, &kStores,  &kLiveCpu,
};
inline constexpr handover::Clients kOwnAndLiveCpu = {
    kOwnAndLiveCpuList, sizeof(kOwnAndLiveCpuList) / sizeof(kOwnAndLiveCpuList[0])};
static_assert(handover::FinalPages(kOwnAndLiveCpu) <= handover::PageReserve::kMaxPages);

/// In a chain with other kernels, which know nothing of khorig's own state: what came is checked
/// and passed through, and nothing but the record, reserved memory and Linux's test data is added.
inline constexpr const handover::Client* kRelayList[] = {
    &kGenerationRecord,        &kForeign,         &kLoadedArchive, &kOwnLog,
    &kReportedRuntimeServices, &kRequestedMemory, &kKhoTest,
};
inline constexpr handover::Clients kRelay = {kRelayList,
                                             sizeof(kRelayList) / sizeof(kRelayList[0])};
static_assert(handover::FinalPages(kRelay) <= handover::PageReserve::kMaxPages);

}  // namespace clients
