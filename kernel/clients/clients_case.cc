// SPDX-License-Identifier: BSD-3-Clause
//
// What the clients make of a handover that passed the gate. An input is a list of changes to one of
// a kernel with all clients. Whatever they are, the next kernel does not panic, takes back only
// what was preserved, and leaves it unchanged until it adopts it.

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "kernel/arch/exit.h"
#include "kernel/base/cpio.h"
#include "kernel/base/direct_map.h"
#include "kernel/clients/list.h"
#include "kernel/handover/testing/test_kernel.h"
#include "khocore/testing/case_check.h"
#include "khocore/testing/fuzz_bytes.h"
#include "khocore/testing/fuzz_case.h"
#include "khocore/vmalloc.h"

namespace {

struct MachineEnd {
  arch::ExitStatus status;
};

/// While there is one, what the kernel prints is for nobody.
class Quiet {
 public:
  Quiet() : output_(dup(STDOUT_FILENO)) {
    static const int nowhere = open("/dev/null", O_WRONLY);
    CASE_CHECK(output_ >= 0 && nowhere >= 0);
    CASE_CHECK(dup2(nowhere, STDOUT_FILENO) == STDOUT_FILENO);
  }
  ~Quiet() {
    dup2(output_, STDOUT_FILENO);
    close(output_);
  }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  int output_;
};

}  // namespace

/// Takes the place of arch::Exit (`--wrap` of the linker).
// NOLINTNEXTLINE(misc-use-internal-linkage): the linker gives it callers
void EndCase(arch::ExitStatus status) __asm__("__wrap__ZN4arch4ExitENS_10ExitStatusE");
// NOLINTNEXTLINE(misc-use-internal-linkage)
void EndCase(arch::ExitStatus status) { throw MachineEnd{status}; }

namespace clients {
namespace {

using handover::TestKernel;
using handover::TestRam;
using khocore::kPageSize;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Span;
using khocore::Status;
using khocore::abi::LogHeader;

constexpr uint64_t kRam = uint64_t{8} << 20;

/// One change: bytes, or the address of something in RAM, over a page of the handover.
struct __attribute__((packed)) Change {
  uint8_t is_address;
  uint16_t page;
  uint16_t offset;
  union {
    uint8_t bytes[8];
    uint64_t place;
  };
};

/// A handover of all clients in RAM, which a case changes and puts right again.
class Handover {
 public:
  Handover() {
    TestKernel kernel(ram_);
    SetUp(kernel);
    kernel.Begin(8);
    Preserve(kernel);
    CASE_CHECK(stores.Preserve(kernel.outgoing).ok());
    CASE_CHECK(WriteLedger(kernel.outgoing).ok());
    CASE_CHECK(stores.Serialize(kernel.outgoing).ok());
    root_ = kernel.Close();
    for (uint64_t at = ram_.all.begin.raw(); at < ram_.all.end().raw(); at += kPageSize) {
      if (std::count(Page(at), Page(at) + kPageSize, 0) == kPageSize) continue;
      free_.emplace(at, std::vector<uint8_t>(Page(at), Page(at) + kPageSize));
    }
    const TestKernel next(ram_, 2, root_);
    const Status collected = next.incoming.ForEachUnrestored([&](khocore::Block block) -> Status {
      // Pages that are full are contents, of which one is as good as another.
      for (uint64_t i = 0; i < block.order.pages(); ++i) {
        const uint64_t at = (block.frame + i).address().raw();
        free_.erase(at);
        if (std::count(Page(at), Page(at) + kPageSize, 0) > 100) pages_.push_back(at);
      }
      return khocore::Ok{};
    });
    CASE_CHECK(collected.ok() && !pages_.empty());
    for (const uint64_t page : pages_) originals_.emplace_back(Page(page), Page(page) + kPageSize);
    changed_ = originals_;
  }

  TestRam& ram() { return ram_; }
  PhysAddr root() const { return root_; }
  size_t pages() const { return pages_.size(); }

  void Apply(Span<const uint8_t> input) {
    fuzz::Input changes(input);
    while (changes.rest().size != 0) {
      auto change = changes.Take<Change>();
      if (change.is_address % 2 != 0) change.place = ram_.all.begin.raw() + change.place % kRam;
      const size_t index = change.page % pages_.size();
      const size_t offset = change.offset % kPageSize;
      const size_t size = std::min(sizeof(change.bytes), kPageSize - offset);
      memcpy(changed_[index].data() + offset, change.bytes, size);
      memcpy(Page(pages_[index]) + offset, change.bytes, size);
      touched_.insert(index);
    }
  }
  /// What is not preserved, the nodes of the tracker among it, is free once the gate has passed.
  void RestoreFree() const {
    for (const auto& [at, bytes] : free_) memcpy(Page(at), bytes.data(), kPageSize);
  }
  void CheckUnchanged() const {
    for (size_t i = 0; i < pages_.size(); ++i) {
      CASE_CHECK(memcmp(Page(pages_[i]), changed_[i].data(), kPageSize) == 0);
    }
  }
  void Reset() {
    for (const size_t index : touched_) {
      memcpy(Page(pages_[index]), originals_[index].data(), kPageSize);
      changed_[index] = originals_[index];
    }
    touched_.clear();
  }

  /// What both generations have in common.
  void SetUp(TestKernel& kernel) {
    kernel.options.reserved_count = 1;
    kernel.options.reserved[0] = {0x3000, kPageSize, "area"};
    kernel.info.regions[0] = {ram_.all, base::MemoryType::kRam};
    kernel.info.regions[1] = {{ram_.scratch.area(0).begin, kPageSize},
                              base::MemoryType::kRuntimeServices};
    kernel.info.region_count = 2;
  }

 private:
  static uint8_t* Page(uint64_t address) { return reinterpret_cast<uint8_t*>(address); }

  static void Preserve(TestKernel& kernel) {
    handover::Outgoing& outgoing = kernel.outgoing;
    const auto place = kernel.memory.allocator.AllocateRange(0x1200, kPageSize);
    CASE_CHECK(place.ok());
    kernel.info.initrd = {place.value().begin, 0x1200};
    memcpy(base::Direct<void>(place.value().begin), "070701", 6);
    Archive archive;
    CASE_CHECK(archive.Take(kernel.generation).ok() && archive.Preserve(outgoing).ok());
    CASE_CHECK(archive.Serialize(outgoing).ok());

    auto* const ring = reinterpret_cast<LogHeader*>(kernel.PreservePage());
    *ring = {khocore::abi::kLogMagic, kPageSize - sizeof(*ring), 12, 0};
    memcpy(ring + 1, "one\ntwo\nthr\n", 12);
    const auto log = PhysAddr::FromRaw(reinterpret_cast<uint64_t>(ring));
    CASE_CHECK(outgoing.AddLink("log", {log, kPageSize}).ok());

    ReservedMemory reserved;
    CASE_CHECK(reserved.Create(kernel.generation).ok() && reserved.Preserve(outgoing).ok());
    CASE_CHECK(reserved.Serialize(outgoing).ok());
    RuntimeServices services;
    services.Record(kernel.generation);
    CASE_CHECK(services.Serialize(outgoing).ok());
    PreserveTestData(kernel);
    CASE_CHECK(SerializeGenerationRecord(outgoing).ok());
    CASE_CHECK(stores.Create(kernel.generation, "store", 0x2345).ok());
  }

  /// As Linux's module does, of two folios; nobody looks at the sum for the sake of memory.
  static void PreserveTestData(TestKernel& kernel) {
    handover::Outgoing& outgoing = kernel.outgoing;
    const auto list_page = kernel.memory.allocator.AllocatePage();
    CASE_CHECK(list_page.ok());
    auto* const entries = base::Direct<uint64_t>(list_page.value().address());
    memset(entries, 0, kPageSize);
    for (unsigned order = 0; order < 2; ++order) {
      const auto folio = kernel.memory.allocator.Allocate(khocore::Order::FromLog2(order));
      CASE_CHECK(folio.ok());
      CASE_CHECK(
          outgoing.tracker().Preserve({folio.value(), khocore::Order::FromLog2(order)}).ok());
      entries[order] = folio.value().address().raw() | order;
    }
    const auto list = khocore::WriteVmalloc(kernel.memory.physical, kernel.memory.allocator,
                                            {&list_page.value(), 1}, khocore::Order());
    CASE_CHECK(list.ok());
    CASE_CHECK(
        khocore::PreserveVmalloc(kernel.memory.physical, outgoing.tracker(), list.value()).ok());
    const PhysRange fragment = kernel.WriteFragment(
        khocore::abi::kKhoTestCompatible, [&](khocore::FragmentWriter& writer) {
          const auto put = [&](const char* name, const auto& value) {
            (void)writer.Property(name, {reinterpret_cast<const uint8_t*>(&value), sizeof(value)});
          };
          (void)writer.BeginNode(khocore::abi::kKhoTestData);
          put("nr_folios", uint32_t{2});
          put("folios_info", list.value());
          put("csum", uint32_t{0});
          (void)writer.EndNode();
        });
    CASE_CHECK(outgoing.AddClient(khocore::abi::kKhoTestClient, fragment).ok());
  }

  TestRam ram_{kRam};
  PhysAddr root_;
  std::map<uint64_t, std::vector<uint8_t>> free_;
  std::vector<uint64_t> pages_;  ///< preserved
  std::vector<std::vector<uint8_t>> originals_;
  std::vector<std::vector<uint8_t>> changed_;
  std::set<size_t> touched_;
};

bool PassesTheGate(Handover& handover) {
  handover.RestoreFree();
  TestRam& ram = handover.ram();
  khocore::TestFrames frames(khocore::PageFrame::Containing(ram.all.begin), kRam / kPageSize);
  CASE_CHECK(frames.table.Fill(ram.all, khocore::FrameState::kFree).ok());
  CASE_CHECK(frames.table.SetScratch(ram.scratch.area(0)).ok());
  return khocore::Incoming::Open(ram.physical, handover.root(), ram.scratch, frames.table).ok();
}

/// What is restored, passed on and left over is all that was handed over.
void CheckCount(const handover::Incoming& incoming) {
  uint64_t blocks = incoming.restored().blocks;
  uint64_t pages = incoming.restored().pages;
  const Status counted = incoming.ForEachUnrestored([&](khocore::Block block) -> Status {
    ++blocks;
    pages += block.order.pages();
    return khocore::Ok{};
  });
  CASE_CHECK(counted.ok());
  CASE_CHECK(blocks == incoming.summary().blocks && pages == incoming.summary().pages);
}

Status RestoreOwn(TestKernel& kernel) {
  handover::Incoming& incoming = kernel.incoming;
  Archive archive;
  LogRing log;
  ReservedMemory reserved;
  RuntimeServices services;
  KHOCORE_RETURN_IF_ERROR(RestoreGenerationRecord(incoming));
  KHOCORE_RETURN_IF_ERROR(archive.Restore(incoming));
  KHOCORE_RETURN_IF_ERROR(log.Restore(incoming));
  KHOCORE_RETURN_IF_ERROR(reserved.Restore(incoming));
  reserved.Verify(incoming);
  KHOCORE_RETURN_IF_ERROR(services.Restore(incoming));
  services.Verify(incoming);
  KHOCORE_RETURN_IF_ERROR(stores.Restore(incoming));
  VerifyLedger(incoming);
  Span<const uint8_t> file{};
  (void)base::FindInCpio(kernel.generation.archive, "kernel", &file);
  return khocore::Ok{};
}

Status Relay(TestKernel& kernel) {
  Foreign foreign;
  KHOCORE_RETURN_IF_ERROR(RestoreGenerationRecord(kernel.incoming));
  KHOCORE_RETURN_IF_ERROR(foreign.Restore(kernel.incoming));
  return KhoTest::Check(kernel.incoming);
}

/// Runs one generation. Whether it got to the end of its steps.
bool Run(Handover& handover, Status (*steps)(TestKernel&)) {
  handover.RestoreFree();
  TestKernel kernel(handover.ram(), 2, handover.root());
  handover.SetUp(kernel);
  stores = Stores();
  bool done = false;
  try {
    done = steps(kernel).ok();
  } catch (const MachineEnd& end) {
    CASE_CHECK(end.status == arch::ExitStatus::kFail);
  }
  CheckCount(kernel.incoming);
  handover.CheckUnchanged();
  return done;
}

}  // namespace
}  // namespace clients

bool fuzz::RunCase(khocore::Span<const uint8_t> input) {
  using clients::Handover;
  const Quiet quiet;
  static Handover* const handover = new Handover;
  handover->Apply(input);
  bool done = clients::PassesTheGate(*handover);
  if (done) {
    done = clients::Run(*handover, clients::RestoreOwn);
    done = clients::Run(*handover, clients::Relay) && done;
  }
  handover->Reset();
  return done;
}

std::map<std::string, std::string> fuzz::Seeds() {
  using clients::Change;
  Change none{};
  none.page = 3;
  none.offset = 0xff0;  // behind what a page of this handover has
  Change address = none;
  address.is_address = 1;
  address.page = 5;
  return {{"none", ""}, {"bytes", BytesOf(none)}, {"both", BytesOf(address) + BytesOf(none)}};
}
