// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/testing/incoming_case.h"

#include <string.h>
#include <sys/mman.h>

#include <vector>

#include "khocore/check.h"
#include "khocore/fragment_reader.h"
#include "khocore/incoming.h"
#include "khocore/radix_walk.h"
#include "khocore/testing/case_check.h"
#include "khocore/vmalloc.h"

namespace khocore {
namespace {

constexpr uint64_t kRamPages = kCaseRam.size >> kPageShift;

/// RAM between two pages that cannot be reached, kept from case to case.
class CaseRam {
 public:
  CaseRam() {
    void* mapping = mmap(nullptr, kCaseRam.size + 2 * kPageSize, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CASE_CHECK(mapping != MAP_FAILED);
    bytes_ = static_cast<uint8_t*>(mapping) + kPageSize;
    CASE_CHECK(memory_.AddWindow(kCaseRam, bytes_).ok());
  }

  const PhysicalMemory& memory() const { return memory_; }

  void Fill(Span<const uint8_t> records) {
    Protect(PROT_READ | PROT_WRITE);
    for (const uint64_t page : used_) memset(bytes_ + (page << kPageShift), 0, kPageSize);
    used_.clear();
    size_t at = 0;
    while (records.size - at > sizeof(CaseRecord)) {
      CaseRecord record;
      memcpy(&record, records.data + at, sizeof(record));
      at += sizeof(record);
      const uint64_t page = record.page % kRamPages;
      const uint64_t offset = record.offset % kPageSize;
      uint64_t size = record.size;
      if (size > kPageSize - offset) size = kPageSize - offset;
      if (size > records.size - at) size = records.size - at;
      memcpy(bytes_ + (page << kPageShift) + offset, records.data + at, size);
      at += size;
      used_.push_back(page);
    }
    Protect(PROT_READ);
  }

 private:
  void Protect(int protection) { CASE_CHECK(mprotect(bytes_, kCaseRam.size, protection) == 0); }

  uint8_t* bytes_;
  PhysicalMemory memory_;
  std::vector<uint64_t> used_;
};

/// The tables of a kernel that has just started.
class CaseFrames {
 public:
  explicit CaseFrames(const Scratch& scratch)
      : directory_(FrameTable::DirectoryBytes(kFirst, kRamPages) / sizeof(uint64_t)),
        pages_(FrameTable::ChunkCount(kFirst, kRamPages)),
        table_(kFirst, kRamPages, directory_.data()) {
    table_.AddPages({pages_[0].bytes, pages_.size() * kPageSize});
    const unsigned order = static_cast<unsigned>(__builtin_ctzll(kRamPages));
    CASE_CHECK(table_.Set({kFirst, Order::FromLog2(order)}, FrameState::kFree).ok());
    for (const PhysRange& area : scratch.areas()) CASE_CHECK(table_.SetScratch(area).ok());
  }
  FrameTable& table() { return table_; }

 private:
  static constexpr PageFrame kFirst = PageFrame::Containing(kCaseRam.begin);
  struct alignas(kPageSize) Page {
    uint8_t bytes[kPageSize];
  };
  std::vector<uint64_t> directory_;
  std::vector<Page> pages_;
  FrameTable table_;
};

uint64_t CountFrames(const FrameTable& frames, FrameState state) {
  uint64_t count = 0;
  for (PageFrame at = frames.first(); at < frames.end();) {
    const FrameTable::Run run = frames.RunAt(at);
    if (run.state == state) count += run.frames;
    at = at + run.frames;
  }
  return count;
}

bool SameError(const Error& a, const Error& b) {
  return a.code == b.code && a.where == b.where && a.found == b.found && a.expected == b.expected;
}

/// After a check, only claims are left in the frame table.
void ExpectOnlyClaims(const FrameTable& frames, const Scratch& scratch, uint64_t pages) {
  CaseFrames fresh(scratch);
  for (uint64_t i = 0; i < kRamPages; ++i) {
    const PageFrame frame = frames.first() + i;
    if (frames.Byte(frame) == fresh.table().Byte(frame)) continue;
    CASE_CHECK(frames.state(frame) == FrameState::kPreserved && !frames.in_scratch(frame));
    --pages;
  }
  CASE_CHECK(pages == 0);
}

void RestoreAll(const PhysicalMemory& memory, const Incoming& incoming, FrameTable& frames) {
  uint64_t blocks = 0;
  const auto node = [](PageFrame, unsigned) -> Status { return Ok{}; };
  const auto block = [&](Block b) -> Status {
    const Result<Order> order = frames.Restore(b.frame);
    CASE_CHECK(order.ok() && order.value() == b.order);
    CASE_CHECK(!frames.Restore(b.frame).ok());
    ++blocks;
    return Ok{};
  };
  const auto map = incoming.root().PropertyU64(FragmentReader::root(), "preserved-memory-map");
  CASE_CHECK(map.ok());
  CASE_CHECK(WalkRadix(memory, PhysAddr::FromRaw(map.value()), {node, block}).ok());
  CASE_CHECK(blocks == incoming.summary().blocks);
  CASE_CHECK(CountFrames(frames, FrameState::kPreserved) == 0);
  CASE_CHECK(CountFrames(frames, FrameState::kAllocated) == incoming.summary().pages);
}

void ReadClients(const PhysicalMemory& memory, const Incoming& incoming) {
  uint64_t clients = 0;
  const FragmentReader& root = incoming.root();
  const Status visited =
      root.ForEachSubnode(root.root(), [&](FragmentNode node, const char* name) -> Status {
        ++clients;
        const Result<PhysRange> blob = root.Link(node);
        CASE_CHECK(blob.ok() && memory.Find(blob.value()) != nullptr);
        CASE_CHECK(*name == 0 || incoming.Find(name).ok());
        // What the check took for a plain blob does not open as a fragment.
        const Result<FragmentReader> opened = FragmentReader::Open(memory, blob.value());
        CASE_CHECK(opened.ok() == LooksLikeFragment(memory, blob.value()));
        if (!opened.ok()) return Ok{};
        const FragmentReader& fragment = opened.value();
        (void)fragment.PropertyString(fragment.root(), "compatible");
        return fragment.ForEachSubnode(fragment.root(),
                                       [&](FragmentNode below, const char*) -> Status {
                                         (void)fragment.PropertyU64(below, "size");
                                         return Ok{};
                                       });
      });
  CASE_CHECK(visited.ok());
  CASE_CHECK(clients == incoming.summary().clients);
}

void CheckAndOpen(const PhysicalMemory& memory, PhysAddr root, const Scratch& scratch) {
  std::vector<Error> findings;
  CaseFrames checked(scratch);
  const HandoverSummary summary =
      CheckHandover(memory, root, scratch, checked.table(), [&](const Error& error) {
        findings.push_back(error);
        return true;
      });
  ExpectOnlyClaims(checked.table(), scratch, summary.pages);

  CaseFrames opened(scratch);
  const Result<Incoming> incoming = Incoming::Open(memory, root, scratch, opened.table());
  CASE_CHECK(incoming.ok() == findings.empty());
  if (!incoming.ok()) {
    CASE_CHECK(SameError(incoming.error(), findings[0]));
    return;
  }
  CASE_CHECK(incoming.value().summary().pages == summary.pages);
  RestoreAll(memory, incoming.value(), opened.table());
  ReadClients(memory, incoming.value());
}

void WalkList(const PhysicalMemory& memory, const abi::Vmalloc& vmalloc) {
  uint64_t pages = 0;
  const auto block = [&](Block b) -> Status {
    CASE_CHECK(b.IsAligned() && memory.Find({b.begin(), b.bytes()}) != nullptr);
    pages += b.order.pages();
    CASE_CHECK(pages <= kRamPages);
    return Ok{};
  };
  const auto chunk = [&](PageFrame page) -> Status {
    CASE_CHECK(memory.Find({page.address(), kPageSize}) != nullptr);
    return Ok{};
  };
  if (WalkVmalloc(memory, vmalloc, block, chunk).ok()) CASE_CHECK(pages == vmalloc.total_pages);
}

}  // namespace

void RunIncomingCase(Span<const uint8_t> input) {
  static CaseRam ram;
  CaseHeader header = {};
  if (input.size < sizeof(header)) return;
  memcpy(&header, input.data, sizeof(header));
  ram.Fill({input.data + sizeof(header), input.size - sizeof(header)});

  Result<Scratch> scratch =
      Scratch::Read(ram.memory(), {PhysAddr::FromRaw(header.scratch_array), header.scratch_size});
  if (!scratch.ok()) {
    Scratch fallback;
    CASE_CHECK(fallback.Add(kCaseScratch).ok());
    scratch = fallback;
  }
  CheckAndOpen(ram.memory(), PhysAddr::FromRaw(header.root), scratch.value());
  WalkList(ram.memory(), header.vmalloc);
}

}  // namespace khocore
