// SPDX-License-Identifier: BSD-3-Clause
#include "qemu/probe/stops.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "qemu/probe/counter.h"

namespace probe {
namespace {

bool IsArmed(const uint32_t& flag) { return __atomic_load_n(&flag, __ATOMIC_ACQUIRE) != 0; }

}  // namespace

bool IsIn(const Range* ranges, uint64_t count, uint64_t address) {
  return std::any_of(ranges, ranges + std::min<uint64_t>(count, kMaxRanges),
                     [&](const Range& r) { return r.begin <= address && address < r.end; });
}

bool Stops::WantsFetch(uint64_t virtual_address, uint64_t physical) const {
  // The next kernel runs where it lies; text of a user space in the same memory does not.
  return virtual_address == physical && IsArmed(block_.fetch_armed) &&
         IsIn(block_.fetch, block_.fetch_count, physical);
}

uint64_t Stops::AwaitedIn(uint64_t begin, uint64_t end) const {
  const size_t count = std::min<size_t>(block_.address_count, kMaxAddresses);
  for (size_t i = 0; i < count; ++i) {
    const uint64_t address = block_.addresses[i];
    if (begin <= address && address < end) return address;
  }
  return 0;
}

void Stops::OnFetch(uint32_t cpu, uint64_t pc, uint64_t physical) {
  if (!WantsFetch(pc, physical)) return;
  if (__atomic_exchange_n(&block_.fetch_armed, 0, __ATOMIC_ACQ_REL) == 0) return;
  Stop(kFetchStop, cpu, pc, physical);
}

void Stops::OnAddress(uint32_t cpu, uint64_t pc, uint64_t physical) {
  if (!IsArmed(block_.address_armed) || AwaitedIn(pc, pc + 1) == 0) return;
  if (__atomic_exchange_n(&block_.address_armed, 0, __ATOMIC_ACQ_REL) == 0) return;
  Stop(kAddressStop, cpu, pc, physical);
}

void Stops::Stop(StopKind kind, uint32_t cpu, uint64_t pc, uint64_t physical) {
  block_.instructions = InstructionCount();
  const StopRecord record{kind, cpu, pc, physical, block_.instructions};
  // A write of this size to a socket is whole or fails. Without a host there is nobody to wait for.
  ssize_t done = 0;
  do {
    done = write(socket_, &record, sizeof(record));
  } while (done < 0 && errno == EINTR);
  if (done != static_cast<ssize_t>(sizeof(record))) return;
  char answer = 0;
  do {
    done = read(socket_, &answer, 1);
  } while (done < 0 && errno == EINTR);
}

}  // namespace probe
