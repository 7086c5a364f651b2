// SPDX-License-Identifier: BSD-3-Clause
#include "qemu/probe/accesses.h"

#include <algorithm>
#include <cstring>

#include "qemu/probe/counter.h"
#include "qemu/probe/stops.h"

namespace probe {
namespace {

// CPUs record rarely, and shortly.
class Lock {
 public:
  explicit Lock(bool& busy) : busy_(busy) {
    while (__atomic_test_and_set(&busy_, __ATOMIC_ACQUIRE)) {
    }
  }
  ~Lock() { __atomic_clear(&busy_, __ATOMIC_RELEASE); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  bool& busy_;
};

}  // namespace

void Accesses::OnStore(uint32_t cpu, uint64_t pc, uint64_t virtual_address, uint64_t offset,
                       uint64_t size) {
  if (size == 0 || size > kMaxStoreBytes || offset >= ram_.size() || size > ram_.size() - offset) {
    return;
  }
  const bool counts = __atomic_load_n(&block_.stores_outside.armed, __ATOMIC_ACQUIRE) != 0;
  const bool watches = __atomic_load_n(&block_.watch_armed, __ATOMIC_ACQUIRE) != 0;
  if (watches && __atomic_load_n(&block_.watched_from, __ATOMIC_RELAXED) == 0) {
    __atomic_store_n(&block_.watched_from, InstructionCount(), __ATOMIC_RELAXED);
  }
  const bool is_watched = watches && ShadowOf(offset) != nullptr;
  if (!counts && !is_watched) return;
  const uint64_t physical = ram_.PhysicalOf(offset).value_or(kNoPhysical);
  const Access access{cpu, pc, virtual_address, physical, InstructionCount()};
  if (counts) Count(block_.stores_outside, access);
  if (is_watched) Record(access, offset, size);
}

void Accesses::OnBlock(uint32_t cpu, uint64_t pc, uint64_t physical) {
  if (__atomic_load_n(&block_.fetches_outside.armed, __ATOMIC_ACQUIRE) == 0) return;
  Count(block_.fetches_outside, {cpu, pc, pc, physical, InstructionCount()});
}

uint8_t* Accesses::ShadowOf(uint64_t offset) const {
  uint64_t* const begin = block_.pages;
  uint64_t* const end = begin + std::min<size_t>(block_.page_count, kMaxPages);
  const uint64_t* const page = std::lower_bound(begin, end, offset - offset % kPageSize);
  if (page == end || *page != offset - offset % kPageSize) return nullptr;
  return block_.shadow[page - begin] + offset % kPageSize;
}

void Accesses::Count(Absence& absence, const Access& access) {
  if (absence.cpu != kAllCpus && absence.cpu != access.cpu) return;
  if (IsIn(absence.ranges, absence.range_count, access.physical)) return;
  const Lock lock(busy_);
  if (absence.count == 0) absence.first = access;
  ++absence.count;
}

void Accesses::Record(const Access& access, uint64_t offset, uint64_t size) {
  const Lock lock(busy_);
  uint8_t* const shadow = ShadowOf(offset);
  if (shadow == nullptr) return;  // no longer watched
  const uint64_t number = block_.stores;
  // QEMU reports a read-modify-write twice, the second time with nothing new to see.
  if (number > 0) {
    const Store& last = block_.ring[(number - 1) % kRingRecords];
    if (last.size == size && std::memcmp(&last.access, &access, sizeof(access)) == 0 &&
        std::memcmp(shadow, ram_.At(offset), size) == 0) {
      return;
    }
  }
  Store& store = block_.ring[number % kRingRecords];
  __atomic_store_n(&store.sequence, 0, __ATOMIC_RELEASE);
  store.access = access;
  store.size = size;
  std::memcpy(store.before, shadow, size);
  std::memcpy(store.after, ram_.At(offset), size);
  std::memcpy(shadow, store.after, size);
  __atomic_store_n(&block_.stores, number + 1, __ATOMIC_RELEASE);
  __atomic_store_n(&store.sequence, number + 1, __ATOMIC_RELEASE);
  block_.instructions = access.instruction;
}

}  // namespace probe
