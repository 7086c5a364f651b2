// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/console/log.h"

namespace console {
namespace {

using khocore::abi::LogHeader;

constexpr uint64_t kEarlyCapacity = 4096;
struct {
  LogHeader header;
  char bytes[kEarlyCapacity];
} early_ring = {{khocore::abi::kLogMagic, kEarlyCapacity, 0, 0}, {}};

LogHeader* ring = &early_ring.header;
bool frozen = false;

char* BytesOf(LogHeader* header) { return reinterpret_cast<char*>(header + 1); }

}  // namespace

void AppendToLog(char byte) {
  if (frozen) return;
  BytesOf(ring)[ring->written % ring->capacity] = byte;
  ++ring->written;
}

void UseLogRing(LogHeader* next) {
  LogHeader* const early = ring;
  ring = next;
  const uint64_t kept = early->written < early->capacity ? early->written : early->capacity;
  for (uint64_t i = early->written - kept; i < early->written; ++i) {
    AppendToLog(BytesOf(early)[i % early->capacity]);
  }
}

void FreezeLog() { frozen = true; }

}  // namespace console
