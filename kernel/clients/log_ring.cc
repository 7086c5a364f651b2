// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/log_ring.h"

#include "kernel/base/direct_map.h"
#include "kernel/console/escape.h"
#include "kernel/console/print.h"

namespace clients {
namespace {

using khocore::Error;
using khocore::ErrorCode;
using khocore::Ok;
using khocore::PhysRange;
using khocore::Result;
using khocore::Status;
using khocore::abi::kLogMagic;
using khocore::abi::LogHeader;

constexpr char kNode[] = "log";
constexpr khocore::Order kRingOrder = khocore::Order::FromLog2(2);
constexpr int kLinesShown = 2;

/// Where the last `lines` lines of the ring begin, counted as `LogHeader::written` counts.
uint64_t TailOf(const LogHeader& header, const char* text, int lines) {
  const uint64_t oldest = header.written > header.capacity ? header.written - header.capacity : 0;
  uint64_t at = header.written;
  while (at > oldest) {
    if (text[(at - 1) % header.capacity] == '\n' && lines-- == 0) break;
    --at;
  }
  return at;
}

}  // namespace

LogHeader* LogRing::header() const { return base::Direct<LogHeader>(range_.begin); }

Status LogRing::Create(handover::Generation& generation) {
  const Result<khocore::PageFrame> block = generation.allocator.Allocate(kRingOrder);
  if (!block.ok()) return block.error();
  range_ = {block.value().address(), kRingOrder.bytes()};
  *header() = {kLogMagic, range_.size - sizeof(LogHeader), 0, 0};
  console::UseLogRing(header());
  return Ok{};
}

Status LogRing::Restore(handover::Incoming& incoming) {
  const Result<PhysRange> link = incoming.FindLink(kNode);
  if (!link.ok()) return link.error();
  range_ = link.value();
  KHOCORE_RETURN_IF_ERROR(incoming.RestoreRange(range_));
  if (range_.size <= sizeof(LogHeader)) {
    return Error{ErrorCode::kBlobSizeRange, range_.begin, range_.size, sizeof(LogHeader) + 1};
  }
  const uint64_t capacity = range_.size - sizeof(LogHeader);
  if (header()->magic != kLogMagic) {
    return Error{ErrorCode::kMagic, range_.begin, header()->magic, kLogMagic};
  }
  if (header()->capacity != capacity) {
    return Error{ErrorCode::kBlobSizeRange, range_.begin, header()->capacity, capacity};
  }
  return Ok{};
}

void LogRing::Adopt() {
  const LogHeader& ring = *header();
  const char* text = reinterpret_cast<const char*>(header() + 1);
  console::PrintConsole("the previous generation's last lines:\n");
  // Set off, so that none of them begins as an event does.
  console::PrintConsole("> ");
  for (uint64_t at = TailOf(ring, text, kLinesShown); at < ring.written; ++at) {
    const char byte = text[at % ring.capacity];
    if (byte == '\n') {
      console::PrintConsole(at + 1 < ring.written ? "\n> " : "");
    } else {
      console::PrintConsole(console::IsPlain(byte) ? "%c" : "\\x%02x",
                            static_cast<unsigned char>(byte));
    }
  }
  console::PrintConsole("\n");
  console::UseLogRing(header());
}

Status LogRing::Preserve(handover::Outgoing& outgoing) const {
  return outgoing.tracker().PreserveRange(range_);
}

Status LogRing::Serialize(handover::Outgoing& outgoing) const {
  return outgoing.AddLink(kNode, range_);
}

}  // namespace clients
