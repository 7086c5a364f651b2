// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <setjmp.h>
#include <stdint.h>
#include <ucontext.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "khocore/testing/memory_model.h"

namespace khocore {

/// Runs code that several CPUs execute at the same time in every interleaving of its atomic
/// operations, and with every value that C++ lets an atomic load return (`MemoryModel`), on one
/// thread of the host:
///
///     const Interleavings::Count count = Interleavings::ForEach([](Interleavings& run) {
///       static uint64_t word; word = 0;
///       run.Share(&word, sizeof(word), "word");
///       if (!run.Run({[] { ... }, [] { ... }})) return;
///       if (word != 2) run.Fail("an increment is lost");
///     });
///     EXPECT_EQ(count.fault, "");
///
/// The code is the code under test as it stands: a target compiled with `INTERLEAVED` of
/// interleavings.bzl calls this in place of ThreadSanitizer's runtime for each access to memory.
/// What works on the same place in no other sequence is executed once (dynamic partial-order
/// reduction with sleep sets), so the number of interleavings is that of the different ones.
///
/// A worker that polls calls `Wait` (`arch::Pause` does). Workers are deterministic but for
/// what they read, and free what they allocate on the heap before they end.
class Interleavings {
 public:
  using Work = std::function<void()>;

  struct Options {
    /// Whether interleavings that differ only in the sequence of independent operations are left
    /// out.
    bool is_reduced = true;
    uint64_t most = 50'000'000;  ///< interleavings; more are a fault
  };

  /// What was done, and what was found.
  struct Count {
    uint64_t interleavings = 0;
    uint64_t steps = 0;
    std::string fault;  ///< with the interleaving that leads to it; empty if there is none
  };

  /// Calls `body` once for each interleaving, until there are no more or one has a fault.
  static Count ForEach(const std::function<void(Interleavings&)>& body, Options options);
  static Count ForEach(const std::function<void(Interleavings&)>& body);

  /// The one whose worker calls, null outside of `Run`.
  static Interleavings* Current();

  /// What workers share, watched in words of `word` bytes. The same in every interleaving.
  void Share(void* base, size_t size, const char* name, size_t word = 8);
  /// The same for all variables of this program that live as long as it does.
  void ShareVariables();
  /// The same for pages, which workers allocate and free.
  void SharePages(void* base, size_t size, const char* name);
  void AllocatePage(const void* page);
  void FreePage(const void* page, const void* code);

  /// Executes all work, at most `kMaxWorkers`, to its end. False after a fault.
  bool Run(std::vector<Work> work);
  /// The number of the worker that runs, from 0.
  unsigned worker() const { return current_; }
  /// Ends with a fault.
  void Fail(std::string fault);

  /// The worker that runs goes on when the place of its last operation has another value than that
  /// found.
  void Wait();
  /// Ends the worker that runs.
  [[noreturn]] void End();

  /// For the hooks: an operation of the worker that runs, and plain accesses.
  uint64_t Execute(const AtomicOperation& operation);
  void Access(const void* address, size_t size, bool is_write, const void* code);

 private:
  /// A point where one of several workers goes on. Workers are bits of a set.
  struct Choice {
    unsigned enabled = 0;
    unsigned backtrack = 0;  ///< to be tried here
    unsigned done = 0;       ///< tried, with all that follows
    unsigned asleep = 0;     ///< tried before, with the same effect
    unsigned worker = 0;     ///< the one that goes on
    unsigned option = 0;     ///< which of the results it gets
    unsigned options = 0;    ///< 0 until they are counted
    AtomicOperation pending[kMaxWorkers];
    Clock before{};  ///< the last steps of each worker that this one depends on, itself included

    const AtomicOperation& operation() const { return pending[worker]; }
  };
  struct Worker {
    ucontext_t context;  ///< to begin with
    jmp_buf place;       ///< where it goes on
    bool has_begun = false;
    std::unique_ptr<uint8_t[]> stack;
    const Work* work = nullptr;
    AtomicOperation pending;
    uint64_t result = 0;
    bool has_ended = true;
    Clock before{};
    AtomicOperation last;
    size_t last_version = 0;  ///< which value that read or left
    bool waits = false;       ///< for another one
  };
  /// For messages.
  struct Record {
    unsigned worker;
    AtomicOperation operation;
    uint64_t result;
    bool is_changed;
    unsigned option;
  };

  Interleavings();
  static void Enter();
  void Resume(unsigned worker);
  /// Goes back to the scheduler, from a worker, until it resumes the worker.
  void Leave();
  /// Ends with what the model of memory has found, if it has.
  void NoteFault();
  bool IsBlocked(unsigned worker);
  unsigned EnabledNow();
  /// The choice at this depth, a new one if need be; null when all that can follow is known.
  Choice* ChoiceAt(size_t depth, unsigned enabled, unsigned asleep);
  /// Notes where workers would have to go on earlier to be faster than what they depend on.
  void FindRaces(size_t depth);
  /// Goes on as chosen; returns who is asleep afterwards.
  unsigned Take(Choice& choice, size_t depth);
  void Step(unsigned worker, unsigned option);
  /// Turns to the next interleaving. False when there is none.
  bool Advance();
  std::string Describe() const;

  Options options_;
  MemoryModel memory_;
  std::vector<Choice> choices_;
  std::vector<Record> steps_;  ///< of this interleaving
  std::vector<Worker> workers_;
  size_t count_ = 0;  ///< of the workers that there are
  ucontext_t outside_;
  jmp_buf scheduler_;
  unsigned current_ = 0;
  bool is_running_ = false;
  bool has_failed_ = false;
  std::string fault_;
  uint64_t all_steps_ = 0;
};

}  // namespace khocore
