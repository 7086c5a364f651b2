// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/testing/memory_model.h"

#include <stdio.h>
#include <string.h>

#include <algorithm>
#include <utility>

namespace khocore {
namespace {

using Kind = AtomicOperation::Kind;

constexpr size_t kPage = 4096;

bool Acquires(int order) {
  return order == __ATOMIC_CONSUME || order == __ATOMIC_ACQUIRE || order == __ATOMIC_ACQ_REL ||
         order == __ATOMIC_SEQ_CST;
}

bool Releases(int order) {
  return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

void Join(Clock& clock, const Clock& other) {
  for (unsigned i = 0; i < kMaxWorkers; ++i) clock[i] = std::max(clock[i], other[i]);
}

uint64_t ReadMemory(const void* address, unsigned size) {
  uint64_t value = 0;
  memcpy(&value, address, size);
  return value;
}

uint64_t Result(const AtomicOperation& operation, uint64_t value) {
  switch (operation.kind) {
    case Kind::kAdd:
      return value + operation.operand;
    case Kind::kAnd:
      return value & operation.operand;
    case Kind::kOr:
      return value | operation.operand;
    case Kind::kXor:
      return value ^ operation.operand;
    default:
      return operation.operand;
  }
}

std::string WorkerName(unsigned worker) { return "CPU " + std::to_string(worker + 1); }

}  // namespace

void MemoryModel::AddRegion(void* base, size_t size, size_t word, std::string name, bool pages) {
  if (Find(base) != nullptr) return;
  regions_.push_back({.base = static_cast<uint8_t*>(base),
                      .size = size,
                      .word = word,
                      .name = std::move(name),
                      .has_pages = pages,
                      .cells = std::vector<Cell>((size + word - 1) / word),
                      .pages = std::vector<Page>(pages ? size / kPage : 0)});
}

void MemoryModel::Reset() {
  ++round_;
  workers_ = {};
  for (unsigned i = 0; i < kMaxWorkers; ++i) workers_[i].clock[i] = 1;
  fault_.clear();
  culprits_.clear();
}

MemoryModel::Region* MemoryModel::Find(const void* address) {
  return const_cast<Region*>(std::as_const(*this).Find(address));
}

const MemoryModel::Region* MemoryModel::Find(const void* address) const {
  for (const Region& region : regions_) {
    const uintptr_t offset =
        reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(region.base);
    if (offset < region.size) return &region;
  }
  return nullptr;
}

MemoryModel::Cell& MemoryModel::CellOf(Region& region, const void* address) {
  Cell& cell = region.cells[region.OffsetOf(address) / region.word];
  if (cell.round != round_) {
    cell.plain_reads = cell.plain_writes = cell.atomic_reads = cell.atomic_writes = {};
    cell.stored.clear();
    cell.seen.clear();
    cell.round = round_;
  }
  return cell;
}

MemoryModel::Cell* MemoryModel::CellFor(const AtomicOperation& operation) {
  Region* region = Find(operation.address);
  if (region == nullptr) return nullptr;
  Cell& cell = CellOf(*region, operation.address);
  if (cell.stored.empty()) {
    // Who wrote it plainly is compared by `Check`; for coherence it is the first value.
    cell.stored.push_back({ReadMemory(operation.address, operation.size), 0, 0, {}});
    cell.place = operation.address;
  } else if (cell.place != operation.address) {
    Fail(NameOf(operation.address) + " is a part of a word that is used as a whole",
         {operation.code});
  }
  return &cell;
}

std::string MemoryModel::NameOf(const void* address) const {
  char text[64];
  const Region* region = Find(address);
  if (region == nullptr) {
    snprintf(text, sizeof(text), "address %p", address);
    return text;
  }
  const size_t offset = region->OffsetOf(address);
  if (region->has_pages) {
    snprintf(text, sizeof(text), " %zu word %zu", offset / kPage, offset % kPage / 8);
  } else {
    snprintf(text, sizeof(text), "+%zu", offset);
  }
  return region->name + text;
}

std::vector<MemoryModel::Option> MemoryModel::OptionsOf(unsigned worker,
                                                        const AtomicOperation& operation,
                                                        Cell& cell) {
  const size_t last = cell.stored.size() - 1;
  std::vector<Option> options;
  const bool compares = operation.kind == Kind::kCompareExchange;
  const bool succeeds = compares && cell.stored[last].value == operation.expected;
  if (operation.kind != Kind::kLoad && !compares) return {{last, false}};
  if (succeeds) options.push_back({last, false});
  size_t oldest = 0;
  for (size_t i = 0; i <= last; ++i) {
    if (HasHappened(cell.stored[i].worker, cell.stored[i].time, worker)) oldest = i;
  }
  for (const Seen& seen : cell.seen) {
    if (HasHappened(seen.worker, seen.time, worker)) oldest = std::max(oldest, seen.index);
  }
  for (size_t i = last + 1; i-- > oldest;) {
    const bool differs = cell.stored[i].value != operation.expected;
    if (!compares || differs) options.push_back({i, compares});
  }
  return options;
}

unsigned MemoryModel::CountOptions(unsigned worker, const AtomicOperation& operation) {
  if (operation.kind == Kind::kDoubt) return workers_[worker].has_failed ? 1 : 2;
  Cell* cell = CellFor(operation);
  return cell == nullptr ? 1 : static_cast<unsigned>(OptionsOf(worker, operation, *cell).size());
}

size_t MemoryModel::VersionOf(const AtomicOperation& operation) {
  Cell* cell = CellFor(operation);
  return cell == nullptr ? 0 : cell->stored.size();
}

MemoryModel::Effect MemoryModel::Execute(unsigned worker, const AtomicOperation& operation,
                                         unsigned option) {
  Worker& self = workers_[worker];
  if (operation.kind == Kind::kDoubt) {
    self.has_failed |= option != 0;
    return {.value = option};
  }
  if (operation.kind == Kind::kFence) {
    if (Acquires(operation.order)) Join(self.clock, self.acquired);
    if (Releases(operation.order)) self.released = self.clock;
    ++self.clock[worker];
    return {};
  }
  Cell* cell = CellFor(operation);
  if (cell == nullptr) {
    Fail(WorkerName(worker) + " uses " + NameOf(operation.address) +
             ", which is neither RAM nor shared",
         {operation.code});
    return {};
  }
  const Option chosen = OptionsOf(worker, operation, *cell)[option];
  const Stored read = cell->stored[chosen.index];
  const bool is_store = operation.writes() && !chosen.fails;
  const bool is_load = operation.kind != Kind::kStore;
  const char* verb = is_store ? "changes" : "reads";
  CheckPage(*Find(operation.address), operation.address, worker, verb, operation.code);
  Check(cell->plain_writes, worker, operation.address, verb, "wrote", operation.code);
  if (is_store) {
    Check(cell->plain_reads, worker, operation.address, verb, "read", operation.code);
  }
  const int order = chosen.fails ? operation.failure_order : operation.order;
  if (is_load) {
    Join(self.acquired, read.released);
    if (Acquires(order)) Join(self.clock, read.released);
    cell->atomic_reads[worker] = {self.clock[worker], operation.code};
    cell->seen.push_back({worker, self.clock[worker], chosen.index});
  }
  if (is_store) {
    Clock released = self.released;
    if (Releases(order)) released = self.clock;
    // What is changed continues what it was released with.
    if (is_load) Join(released, read.released);
    const uint64_t value = Result(operation, read.value);
    memcpy(operation.address, &value, operation.size);
    cell->stored.push_back(
        {ReadMemory(operation.address, operation.size), worker, self.clock[worker], released});
    cell->atomic_writes[worker] = {self.clock[worker], operation.code};
  }
  ++self.clock[worker];
  return {.value = read.value,
          .is_changed = is_store,
          .version = is_store ? cell->stored.size() : chosen.index + 1};
}

void MemoryModel::Access(unsigned worker, const void* address, size_t size, bool is_write,
                         const void* code) {
  Region* region = Find(address);
  if (region == nullptr) {
    if (reinterpret_cast<uintptr_t>(address) < kPage) {
      Fail(WorkerName(worker) + " follows a null pointer", {code});
    }
    return;
  }
  const char* verb = is_write ? "writes" : "reads";
  CheckPage(*region, address, worker, verb, code);
  const size_t begin = region->OffsetOf(address) / region->word * region->word;
  const size_t end = std::min(region->OffsetOf(address) + size, region->size);
  for (size_t offset = begin; offset < end; offset += region->word) {
    const uint8_t* at = region->base + offset;
    Cell* cell = &CellOf(*region, at);
    Check(cell->plain_writes, worker, at, verb, "wrote", code);
    Check(cell->atomic_writes, worker, at, verb, "changed", code);
    const Touch touch{workers_[worker].clock[worker], code};
    if (is_write) {
      Check(cell->plain_reads, worker, at, verb, "read", code);
      Check(cell->atomic_reads, worker, at, verb, "read", code);
      cell->plain_writes[worker] = touch;
      // Without a race everything else has happened before.
      cell->stored.clear();
      cell->seen.clear();
    } else {
      cell->plain_reads[worker] = touch;
    }
  }
}

void MemoryModel::Allocate(unsigned worker, const void* page) {
  Region* region = Find(page);
  region->pages[region->OffsetOf(page) / kPage] = {
      round_, false, worker, {workers_[worker].clock[worker], nullptr}};
}

void MemoryModel::Free(unsigned worker, const void* page, const void* code) {
  Region* region = Find(page);
  CheckPage(*region, page, worker, "frees", code);
  for (size_t offset = 0; offset < kPage; offset += region->word) {
    const uint8_t* at = static_cast<const uint8_t*>(page) + offset;
    const Cell& cell = region->cells[region->OffsetOf(at) / region->word];
    if (cell.round != round_) continue;
    for (const auto* touches : {&cell.plain_reads, &cell.atomic_reads}) {
      Check(*touches, worker, at, "frees", "read", code);
    }
    for (const auto* touches : {&cell.plain_writes, &cell.atomic_writes}) {
      Check(*touches, worker, at, "frees", "wrote", code);
    }
  }
  region->pages[region->OffsetOf(page) / kPage] = {
      round_, true, worker, {workers_[worker].clock[worker], code}};
}

void MemoryModel::CheckPage(Region& region, const void* address, unsigned worker, const char* verb,
                            const void* code) {
  if (!region.has_pages) return;
  const Page& page = region.pages[region.OffsetOf(address) / kPage];
  if (page.round != round_) return;  // from before the workers started
  if (page.is_freed) {
    Fail(WorkerName(worker) + " " + verb + " " + NameOf(address) + ", which " +
             WorkerName(page.worker) + " has freed",
         {code, page.touch.code});
  } else if (page.worker != worker && !HasHappened(page.worker, page.touch.time, worker)) {
    Fail("race: " + WorkerName(worker) + " " + verb + " " + NameOf(address) + ", and nothing " +
             "orders that after " + WorkerName(page.worker) + " allocated and zeroed the page",
         {code});
  }
}

void MemoryModel::Check(const Touches& touches, unsigned worker, const void* address,
                        const char* verb, const char* other_verb, const void* code) {
  for (unsigned other = 0; other < kMaxWorkers; ++other) {
    if (other == worker || HasHappened(other, touches[other].time, worker)) continue;
    Fail("race: " + WorkerName(worker) + " " + verb + " " + NameOf(address) + ", and nothing " +
             "orders that after " + WorkerName(other) + " " + other_verb + " it",
         {code, touches[other].code});
  }
}

void MemoryModel::Fail(std::string fault, std::vector<const void*> culprits) {
  if (!fault_.empty()) return;
  fault_ = std::move(fault);
  culprits_ = std::move(culprits);
}

}  // namespace khocore
