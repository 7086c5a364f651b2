// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/generation_record.h"

#include <string.h>

#include "kernel/base/print.h"
#include "kernel/base/version.h"
#include "kernel/handover/generation.h"
#include "khocore/abi/clients.h"

namespace clients {

using khocore::Error;
using khocore::ErrorCode;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysRange;
using khocore::Result;
using khocore::Status;
namespace abi = khocore::abi;

Result<uint32_t> RestoreGenerationRecord(core::Generation& generation) {
  const Result<PhysRange> blob = generation.memory.incoming.Find(abi::kMetadataClient);
  if (!blob.ok()) return 0u;
  const PhysRange range = blob.value();
  if (range.size < sizeof(abi::KexecMetadata)) {
    return Error{ErrorCode::kBlobSizeRange, range.begin, range.size, sizeof(abi::KexecMetadata)};
  }
  abi::KexecMetadata record;
  memcpy(&record, core::Direct<void>(range.begin), sizeof(record));
  if (record.version != abi::kMetadataVersion) {
    return Error{ErrorCode::kPropertySize, range.begin, record.version, abi::kMetadataVersion};
  }
  KHOCORE_RETURN_IF_ERROR(generation.RestoreObsolete(range.begin));
  record.previous_release[sizeof(record.previous_release) - 1] = '\0';
  core::Print("exec from: %s (count %u)\n", record.previous_release, record.kexec_count);
  return record.kexec_count;
}

Status SerializeGenerationRecord(core::Generation& generation, uint32_t kexec_count) {
  const Result<PageFrame> page = generation.reserve.AllocatePage();
  if (!page.ok()) return page.error();
  auto* record = core::Direct<abi::KexecMetadata>(page.value().address());
  record->version = abi::kMetadataVersion;
  core::FormatTo(record->previous_release, sizeof(record->previous_release), "%s", core::kRelease);
  record->kexec_count = kexec_count;
  KHOCORE_RETURN_IF_ERROR(generation.tracker.Preserve({page.value(), Order()}));
  return generation.outgoing.AddClient(abi::kMetadataClient,
                                       {page.value().address(), sizeof(abi::KexecMetadata)});
}

}  // namespace clients
