// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/testing/interleavings.h"

#include <stdlib.h>

#include <algorithm>
#include <utility>

#include "khocore/testing/code_place.h"

// Of the linker, for the program's own variables.
extern "C" uint8_t __data_start, _end;  // NOLINT(readability-identifier-naming)

namespace khocore {
namespace {

constexpr size_t kStackBytes = 256 << 10;
constexpr size_t kMaxSteps = 2000;  ///< of one interleaving

Interleavings* current = nullptr;

constexpr unsigned Bit(unsigned worker) { return 1u << worker; }

}  // namespace

Interleavings* Interleavings::Current() { return current; }

Interleavings::Interleavings() : workers_(kMaxWorkers) {
  for (Worker& worker : workers_) worker.stack = std::make_unique<uint8_t[]>(kStackBytes);
}

Interleavings::Count Interleavings::ForEach(const std::function<void(Interleavings&)>& body) {
  return ForEach(body, Options());
}

Interleavings::Count Interleavings::ForEach(const std::function<void(Interleavings&)>& body,
                                            Options options) {
  Interleavings run;
  run.options_ = options;
  Count count;
  do {
    run.steps_.clear();
    body(run);
    ++count.interleavings;
    if (count.interleavings == options.most && !run.has_failed_) {
      run.Fail("there are more than " + std::to_string(options.most) + " interleavings");
    }
    if (run.has_failed_) {
      count.fault = run.fault_ + "\nin interleaving " + std::to_string(count.interleavings) +
                    ":\n" + run.Describe();
    }
  } while (!run.has_failed_ && run.Advance());
  count.steps = run.all_steps_;
  return count;
}

void Interleavings::Share(void* base, size_t size, const char* name, size_t word) {
  memory_.AddRegion(base, size, word, name, false);
}

void Interleavings::ShareVariables() {
  Share(&__data_start, static_cast<size_t>(&_end - &__data_start), "variables", sizeof(uint32_t));
}

void Interleavings::SharePages(void* base, size_t size, const char* name) {
  memory_.AddRegion(base, size, sizeof(uint64_t), name, true);
}

void Interleavings::AllocatePage(const void* page) {
  if (is_running_) memory_.Allocate(current_, page);
}

void Interleavings::FreePage(const void* page, const void* code) {
  if (is_running_) memory_.Free(current_, page, code);
}

void Interleavings::Fail(std::string fault) {
  if (!has_failed_) fault_ = std::move(fault);
  has_failed_ = true;
}

void Interleavings::Enter() {
  Interleavings& run = *current;
  Worker& self = run.workers_[run.current_];
  (*self.work)();
  run.End();
}

void Interleavings::End() {
  workers_[current_].has_ended = true;
  Leave();
  abort();
}

void Interleavings::Leave() {
  current = nullptr;
  if (_setjmp(workers_[current_].place) == 0) _longjmp(scheduler_, 1);
}

void Interleavings::Resume(unsigned worker) {
  current_ = worker;
  current = this;
  Worker& next = workers_[worker];
  // Jumps take a tenth of the time of a context, which costs a system call.
  if (_setjmp(scheduler_) == 0) {
    if (std::exchange(next.has_begun, true)) _longjmp(next.place, 1);
    swapcontext(&outside_, &next.context);
  }
  NoteFault();
}

void Interleavings::NoteFault() {
  if (memory_.fault().empty() || has_failed_) return;
  fault_ = memory_.fault();
  for (const void* code : memory_.culprits()) {
    if (code != nullptr) fault_ += "\n  at " + CodePlace(code);
  }
  has_failed_ = true;
}

uint64_t Interleavings::Execute(const AtomicOperation& operation) {
  Worker& self = workers_[current_];
  self.pending = operation;
  Leave();
  return self.result;
}

void Interleavings::Access(const void* address, size_t size, bool is_write, const void* code) {
  memory_.Access(current_, address, size, is_write, code);
  if (memory_.fault().empty()) return;
  Leave();  // for ever
}

void Interleavings::Wait() { workers_[current_].waits = true; }

bool Interleavings::IsBlocked(unsigned worker) {
  const Worker& self = workers_[worker];
  return self.waits && memory_.VersionOf(self.last) == self.last_version;
}

unsigned Interleavings::EnabledNow() {
  unsigned enabled = 0;
  for (unsigned i = 0; i < count_; ++i) {
    if (!workers_[i].has_ended && !IsBlocked(i)) enabled |= Bit(i);
  }
  return enabled;
}

bool Interleavings::Run(std::vector<Work> work) {
  memory_.Reset();
  count_ = work.size();
  for (unsigned i = 0; i < count_; ++i) {
    Worker& worker = workers_[i];
    worker.work = &work[i];
    worker.has_ended = false;
    worker.has_begun = false;
    worker.waits = false;
    worker.before = {};
    getcontext(&worker.context);
    worker.context.uc_stack.ss_sp = worker.stack.get();
    worker.context.uc_stack.ss_size = kStackBytes;
    worker.context.uc_link = nullptr;
    makecontext(&worker.context, &Interleavings::Enter, 0);
  }
  is_running_ = true;
  for (unsigned i = 0; i < count_ && !has_failed_; ++i) Resume(i);
  unsigned asleep = 0;
  bool is_known = false;  // that all that follows was executed before
  for (size_t depth = 0; !has_failed_; ++depth) {
    const unsigned enabled = EnabledNow();
    if (enabled == 0) break;
    if (depth == kMaxSteps) Fail("there is no end after " + std::to_string(depth) + " steps");
    Choice* choice = is_known ? nullptr : ChoiceAt(depth, enabled, asleep);
    if (choice != nullptr) {
      asleep = Take(*choice, depth);
    } else {
      is_known = true;
      Step(static_cast<unsigned>(__builtin_ctz(enabled)), 0);
    }
  }
  is_running_ = false;
  const auto ended = [](const Worker& worker) { return worker.has_ended; };
  if (!has_failed_ && !std::all_of(workers_.begin(), workers_.end(), ended)) {
    Fail("deadlock: every worker waits for what nobody changes");
  }
  return !has_failed_;
}

Interleavings::Choice* Interleavings::ChoiceAt(size_t depth, unsigned enabled, unsigned asleep) {
  if (depth < choices_.size()) return &choices_[depth];
  const unsigned awake = enabled & ~asleep;
  if (awake == 0) return nullptr;
  Choice choice;
  choice.enabled = enabled;
  choice.asleep = asleep;
  choice.worker = static_cast<unsigned>(__builtin_ctz(awake));
  choice.backtrack = options_.is_reduced ? Bit(choice.worker) : enabled;
  for (unsigned i = 0; i < count_; ++i) {
    if (!workers_[i].has_ended) choice.pending[i] = workers_[i].pending;
  }
  choices_.push_back(choice);
  if (options_.is_reduced) FindRaces(depth);
  return &choices_.back();
}

void Interleavings::FindRaces(size_t depth) {
  for (unsigned i = 0; i < count_; ++i) {
    if (workers_[i].has_ended) continue;
    for (size_t at = depth; at-- > 0;) {
      Choice& earlier = choices_[at];
      if (earlier.worker == i || workers_[i].before[earlier.worker] > at) continue;
      if (!earlier.operation().DependsOn(workers_[i].pending)) continue;
      earlier.backtrack |= (earlier.enabled & Bit(i)) != 0 ? Bit(i) : earlier.enabled;
      break;
    }
  }
}

unsigned Interleavings::Take(Choice& choice, size_t depth) {
  const unsigned worker = choice.worker;
  if (choice.options == 0) {
    // Who has waited sees what is new.
    choice.options =
        workers_[worker].waits ? 1 : memory_.CountOptions(worker, workers_[worker].pending);
    choice.before = workers_[worker].before;
    for (size_t at = 0; at < depth; ++at) {
      if (!choices_[at].operation().DependsOn(choice.operation())) continue;
      for (unsigned i = 0; i < kMaxWorkers; ++i) {
        choice.before[i] = std::max(choice.before[i], choices_[at].before[i]);
      }
    }
    choice.before[worker] = static_cast<uint32_t>(depth + 1);
  }
  workers_[worker].before = choice.before;
  unsigned asleep = 0;
  for (unsigned i = 0; i < count_ && options_.is_reduced; ++i) {
    if (i == worker || ((choice.asleep | choice.done) & Bit(i)) == 0) continue;
    if (!choice.operation().DependsOn(choice.pending[i])) asleep |= Bit(i);
  }
  Step(worker, choice.option);
  return asleep;
}

void Interleavings::Step(unsigned worker, unsigned option) {
  Worker& self = workers_[worker];
  const MemoryModel::Effect effect = memory_.Execute(worker, self.pending, option);
  self.result = effect.value;
  steps_.push_back({worker, self.pending, self.result, effect.is_changed, option});
  ++all_steps_;
  self.waits = false;
  self.last = self.pending;
  self.last_version = effect.version;
  NoteFault();
  if (!has_failed_) Resume(worker);
}

bool Interleavings::Advance() {
  while (!choices_.empty()) {
    Choice& last = choices_.back();
    if (++last.option < last.options) return true;
    last.done |= Bit(last.worker);
    const unsigned left = last.backtrack & last.enabled & ~last.done & ~last.asleep;
    if (left != 0) {
      last.worker = static_cast<unsigned>(__builtin_ctz(left));
      last.option = last.options = 0;
      return true;
    }
    choices_.pop_back();
  }
  return false;
}

std::string Interleavings::Describe() const {
  static constexpr const char* kNames[] = {"load",  "store",   "exchange", "add",
                                           "and",   "or",      "xor",      "compare-exchange",
                                           "fence", "weakness"};
  std::string all;
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Record& step = steps_[i];
    const AtomicOperation& operation = step.operation;
    const bool compares = operation.kind == AtomicOperation::Kind::kCompareExchange;
    char text[256];
    if (operation.kind == AtomicOperation::Kind::kDoubt) {
      if (step.option == 0) continue;
      snprintf(text, sizeof(text), "%4zu  CPU %u  a weak compare-exchange fails without a reason",
               i + 1, step.worker + 1);
      all += text + ("  at " + CodePlace(operation.code) + "\n");
      continue;
    }
    snprintf(text, sizeof(text), "%4zu  CPU %u  %-16s  %-18s", i + 1, step.worker + 1,
             kNames[static_cast<size_t>(operation.kind)],
             memory_.NameOf(operation.address).c_str());
    all += text;
    if (operation.kind != AtomicOperation::Kind::kStore) {
      snprintf(text, sizeof(text), "  finds 0x%llx", static_cast<unsigned long long>(step.result));
      all += text;
    }
    if (operation.writes() && step.is_changed) {
      snprintf(text, sizeof(text), "  %s 0x%llx", compares ? "stores" : "operand",
               static_cast<unsigned long long>(operation.operand));
      all += text;
    }
    if (compares && !step.is_changed) {
      all += ", fails";
    } else if (step.option != 0) {
      all += ", an older value";
    }
    all += "  at " + CodePlace(operation.code) + "\n";
  }
  return all;
}

}  // namespace khocore
