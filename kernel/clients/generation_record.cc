// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/generation_record.h"

#include <string.h>

#include "kernel/base/direct_map.h"
#include "kernel/base/format.h"
#include "kernel/base/version.h"
#include "kernel/console/escape.h"
#include "kernel/console/print.h"
#include "kernel/rig/event.h"

namespace clients {

using khocore::Error;
using khocore::ErrorCode;
using khocore::Ok;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysRange;
using khocore::Result;
using khocore::Status;
namespace abi = khocore::abi;

namespace {

void CheckJumps(uint32_t jumps, uint32_t generation) {
  if (jumps + 1 == generation) return;
  KHORIG_FAIL("record", "%u jumps recorded, this is generation %u", jumps, generation);
}

}  // namespace

Status RestoreGenerationRecord(handover::Incoming& incoming) {
  const uint32_t generation = incoming.generation().options.generation;
  const Result<PhysRange> blob = incoming.Find(abi::kMetadataClient);
  if (!blob.ok()) {
    CheckJumps(0, generation);
    return Ok{};
  }
  const PhysRange range = blob.value();
  if (range.size < sizeof(abi::KexecMetadata)) {
    return Error{ErrorCode::kBlobSizeRange, range.begin, range.size, sizeof(abi::KexecMetadata)};
  }
  abi::KexecMetadata record;
  memcpy(&record, base::Direct<void>(range.begin), sizeof(record));
  if (record.version != abi::kMetadataVersion) {
    return Error{ErrorCode::kVersion, range.begin, record.version, abi::kMetadataVersion};
  }
  KHOCORE_RETURN_IF_ERROR(incoming.RestoreForRelease(range.begin));
  record.previous_release[sizeof(record.previous_release) - 1] = '\0';
  console::Print("exec from: %s (count %u)\n", console::Escaped(record.previous_release).text(),
                 record.kexec_count);
  CheckJumps(record.kexec_count, generation);
  return Ok{};
}

Status SerializeGenerationRecord(handover::Outgoing& outgoing) {
  const Result<PageFrame> page = outgoing.final_pages().AllocatePage();
  if (!page.ok()) return page.error();
  auto* record = base::Direct<abi::KexecMetadata>(page.value().address());
  record->version = abi::kMetadataVersion;
  base::FormatTo(record->previous_release, sizeof(record->previous_release), "%s", base::kRelease);
  record->kexec_count = outgoing.generation().options.generation;
  KHOCORE_RETURN_IF_ERROR(outgoing.tracker().Preserve({page.value(), Order()}));
  return outgoing.AddClient(abi::kMetadataClient,
                            {page.value().address(), sizeof(abi::KexecMetadata)});
}

}  // namespace clients
