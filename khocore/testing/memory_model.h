// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <array>
#include <string>
#include <vector>

namespace khocore {

inline constexpr unsigned kMaxWorkers = 4;

/// What happened before, as one count for each worker.
using Clock = std::array<uint32_t, kMaxWorkers>;

/// One atomic operation of a worker.
struct AtomicOperation {
  enum class Kind : uint8_t {
    kLoad,
    kStore,
    kExchange,
    kAdd,
    kAnd,
    kOr,
    kXor,
    kCompareExchange,
    kFence,
    kDoubt,  ///< whether the weak compare-exchange that follows fails without a reason
  };
  Kind kind = Kind::kFence;
  uint8_t size = 0;  ///< in bytes
  int order = 0;     ///< `__ATOMIC_*`
  int failure_order = 0;
  void* address = nullptr;
  uint64_t operand = 0;
  uint64_t expected = 0;  ///< of a compare-exchange
  const void* code = nullptr;

  bool writes() const { return kind != Kind::kLoad && address != nullptr; }
  /// Whether the sequence of both makes a difference.
  bool DependsOn(const AtomicOperation& other) const {
    return address != nullptr && address == other.address && (writes() || other.writes());
  }
};

/// Memory as C++ promises it, not as the machine of the test has it: an atomic load may return any
/// value that coherence and what happened before still allow, a weak compare-exchange may fail once
/// for each worker without a reason, and plain accesses to the same place that nothing orders are a
/// race. A load never returns what is only stored later (as Arm allows it for relaxed accesses).
///
/// What is sequentially consistent is taken for acquire and release. Only regions that are added
/// are watched, in words of a size of their own; atomic
/// operations on parts of a word are a fault.
class MemoryModel {
 public:
  /// What an operation has done.
  struct Effect {
    uint64_t value = 0;  ///< that it has read
    bool is_changed = false;
    size_t version = 0;  ///< the number of the value that it has read or stored
  };

  /// Watches memory in words of `word` bytes; `name` is for messages. With `pages`, the parts of it
  /// that are given to `Allocate` and `Free` are pages. Nothing when it is watched already.
  void AddRegion(void* base, size_t size, size_t word, std::string name, bool pages);
  /// Forgets all that happened; memory has its initial content.
  void Reset();

  /// How many results the operation can have now.
  unsigned CountOptions(unsigned worker, const AtomicOperation& operation);
  /// Executes it with one of them; 0 is what a machine without caches would do.
  Effect Execute(unsigned worker, const AtomicOperation& operation, unsigned option);
  /// Notes a plain access.
  void Access(unsigned worker, const void* address, size_t size, bool is_write, const void* code);
  /// A page begins, zeroed by this worker, or ends.
  void Allocate(unsigned worker, const void* page);
  void Free(unsigned worker, const void* page, const void* code);

  /// How many values have been stored at the place of an operation.
  size_t VersionOf(const AtomicOperation& operation);
  std::string NameOf(const void* address) const;

  /// What went wrong first, empty when nothing did; `culprits` are places in the code.
  const std::string& fault() const { return fault_; }
  const std::vector<const void*>& culprits() const { return culprits_; }

 private:
  struct Stored {
    uint64_t value;
    unsigned worker;
    uint32_t time;   ///< of that worker
    Clock released;  ///< what a load that acquires sees of it
  };
  struct Seen {
    unsigned worker;
    uint32_t time;
    size_t index;
  };
  struct Touch {
    uint32_t time = 0;
    const void* code = nullptr;
  };
  using Touches = std::array<Touch, kMaxWorkers>;
  struct Cell {
    uint64_t round = 0;
    Touches plain_reads, plain_writes, atomic_reads, atomic_writes;
    const void* place = nullptr;  ///< of the values that are stored
    std::vector<Stored> stored;   ///< in the sequence of coherence
    std::vector<Seen> seen;
  };
  struct Page {
    uint64_t round = 0;
    bool is_freed = false;
    unsigned worker = 0;
    Touch touch;
  };
  /// Memory that is watched.
  struct Region {
    uint8_t* base;
    size_t size;
    size_t word;
    std::string name;
    bool has_pages;
    std::vector<Cell> cells;
    std::vector<Page> pages;

    size_t OffsetOf(const void* address) const {
      return static_cast<size_t>(static_cast<const uint8_t*>(address) - base);
    }
  };
  struct Option {
    size_t index;  ///< of the value that is read
    bool fails;    ///< a compare-exchange
  };
  struct Worker {
    Clock clock{};
    Clock acquired{};  ///< by loads that a fence makes acquire
    Clock released{};  ///< by the last fence that releases
    bool has_failed = false;
  };

  Region* Find(const void* address);
  const Region* Find(const void* address) const;
  Cell& CellOf(Region& region, const void* address);
  /// The values of a cell, which are read from memory when nothing was stored by an operation yet.
  Cell* CellFor(const AtomicOperation& operation);
  std::vector<Option> OptionsOf(unsigned worker, const AtomicOperation& operation, Cell& cell);
  bool HasHappened(unsigned other, uint32_t time, unsigned worker) const {
    return time <= workers_[worker].clock[other];
  }
  void Check(const Touches& touches, unsigned worker, const void* address, const char* verb,
             const char* other_verb, const void* code);
  void CheckPage(Region& region, const void* address, unsigned worker, const char* verb,
                 const void* code);
  void Fail(std::string fault, std::vector<const void*> culprits);

  std::vector<Region> regions_;
  std::array<Worker, kMaxWorkers> workers_;
  uint64_t round_ = 1;
  std::string fault_;
  std::vector<const void*> culprits_;
};

}  // namespace khocore
