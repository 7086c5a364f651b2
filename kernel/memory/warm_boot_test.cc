// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel/arch/testing/test_boot.h"
#include "kernel/memory/memory.h"
#include "kernel/memory/testing/memory_fixture.h"
#include "khocore/abi/scratch.h"
#include "khocore/outgoing.h"

namespace memory {
namespace {

using arch::Boot;
using khocore::Block;
using khocore::FrameState;
using khocore::kPageSize;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::PhysRange;

const PhysRange kRam = arch::TestRam::Range();

/// What the first kernel leaves behind, in memory that both share.
struct Left {
  PhysRange root;
  PhysRange scratch;
  Block blocks[3];
  PhysRange areas[3];
};

class WarmBootTest : public MemoryTest {
 protected:
  WarmBootTest()
      : left_(static_cast<Left*>(mmap(nullptr, sizeof(Left), PROT_READ | PROT_WRITE,
                                      MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {
    Boot([&] { BootFirst(); });
    ram_.Detach();  // a kernel that refuses what it finds destroys it
    info_->has_handover = true;
    info_->kho_root = left_->root;
    info_->kho_scratch = left_->scratch;
    // The next kernel and all that comes with it lie in scratch.
    const uint64_t begin = left_->areas[0].begin - kRam.begin;
    info_->image = Part(begin, 0x2000);
    info_->initrd = Part(begin + kMiB, 0x3001);
    info_->device_tree = Part(begin + 2 * kMiB, 0x100);
    info_->keep[0] = Part(begin + 3 * kMiB, kPageSize);
  }
  ~WarmBootTest() override { munmap(left_, sizeof(Left)); }

  void BootFirst() {
    Memory memory;
    Start(&memory);
    khocore::Tracker tracker = khocore::Tracker::Create(memory.physical, memory.allocator).value();
    khocore::Outgoing root =
        khocore::Outgoing::Create(memory.physical, memory.allocator, tracker).value();
    for (unsigned i = 0; i < 3; ++i) {
      const Order order = Order::FromLog2(5 * i);
      const Block block{memory.allocator.Allocate(order).value(), order};
      memset(base::Direct<void>(block.begin()), 0x5a, block.bytes());
      ASSERT_TRUE(tracker.Preserve(block).ok());
      left_->blocks[i] = block;
    }
    ASSERT_TRUE(root.AddClient("one", {left_->blocks[1].begin(), 100}).ok());
    left_->root = {root.root().address(), kPageSize};
    for (size_t i = 0; i < 3; ++i) left_->areas[i] = memory.scratch.area(i);
    left_->scratch = {left_->areas[2].begin, 3 * sizeof(khocore::abi::ScratchArea)};
    memcpy(base::Direct<void>(left_->scratch.begin), left_->areas, left_->scratch.size);
  }

  /// Boots the second kernel, whose console is expected to match `text`.
  void ExpectBoot(const char* text) {
    EXPECT_ENDS(
        {
          Memory memory;
          Start(&memory);
          ExpectSound(memory, *info_);
          fflush(nullptr);
          _exit(HasFailure() ? EXIT_FAILURE : static_cast<int>(arch::ExitStatus::kPass));
        },
        kPass, text);
  }
  uint64_t Preserved() const { return 1 + 32 + 1024 + 1; }  // the root's page, too

  Left* left_;
};

TEST_F(WarmBootTest, ClaimsWhatWasPreservedAndKeepsScratch) {
  Boot([&] {
    Memory memory;
    Start(&memory);
    ASSERT_TRUE(memory.has_incoming);
    EXPECT_FALSE(memory.has_refused);
    EXPECT_EQ(memory.incoming.summary().pages, Preserved());
    EXPECT_EQ(memory.incoming.Find("one").value(), (PhysRange{left_->blocks[1].begin(), 100}));
    ASSERT_EQ(memory.scratch.area_count(), 3u);
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(memory.scratch.area(i), left_->areas[i]);
    for (const Block& block : left_->blocks) {
      EXPECT_TRUE(memory.frames.IsHead(block, FrameState::kPreserved));
      const auto* bytes = base::Direct<const uint8_t>(block.begin());
      for (uint64_t i = 0; i < block.bytes(); ++i) ASSERT_EQ(bytes[i], 0x5a) << "byte " << i;
    }
    EXPECT_EQ(Count(memory, kRam, FrameState::kPreserved), Preserved());
    ExpectSound(memory, *info_);
    // Whatever the allocator has left: none of it is preserved.
    while (memory.allocator.free_pages() != 0) {
      const PageFrame page = memory.allocator.Allocate(Order()).value();
      for (const Block& block : left_->blocks) {
        ASSERT_FALSE((PhysRange{block.begin(), block.bytes()}.Contains({page.address(), 1})));
      }
    }
  });
}

TEST_F(WarmBootTest, WritesToScratchAloneUntilAllIsChecked) {
  // The last thing that is checked is wrong.
  auto* root = base::Direct<uint8_t>(left_->root.begin);
  const uint64_t data = left_->blocks[1].begin().raw();
  void* const link = memmem(root, kPageSize, &data, sizeof(data));
  ASSERT_NE(link, nullptr);
  memset(link, 0, sizeof(data));
  const auto freeze = [&] {
    PhysAddr at = kRam.begin;
    for (const PhysRange& area : left_->areas) {  // ascending
      mprotect(base::Direct<void>(at), area.begin - at, PROT_READ);
      at = area.end();
    }
    mprotect(base::Direct<void>(at), kRam.end() - at, PROT_READ);
  };
  // The cold boot that follows may write where it likes, and then crashes.
  const auto anyhow = [](int) { return true; };
  EXPECT_EXIT(
      {
        dup2(STDERR_FILENO, STDOUT_FILENO);
        freeze();
        Memory memory;
        Start(&memory);
        _exit(0);
      },
      anyhow, "\"refused\".*\"outside-ram\"");
}

TEST_F(WarmBootTest, ARefusedHandoverIsAColdBoot) {
  *base::Direct<uint8_t>(left_->root.begin) = 0;
  ExpectBoot("\"refused\".*\"fdt-magic\"");
  Boot([&] {
    Memory memory;
    Start(&memory);
    EXPECT_FALSE(memory.has_incoming);
    EXPECT_TRUE(memory.has_refused);
    EXPECT_EQ(Count(memory, kRam, FrameState::kPreserved), 0u);
    // The tables of the attempt are not in use any more.
    EXPECT_EQ(Count(memory, kRam, FrameState::kAllocated),
              2 + 4 + 1 + 1 + memory.frames.chunk_count() + 1);
    ASSERT_EQ(memory.scratch.area_count(), 3u) << "areas of the other kernel were kept";
  });
}

TEST_F(WarmBootTest, AHandoverWithoutRootIsRefused) {
  info_->kho_root = {};
  ExpectBoot("\"refused\".*\"property-size\"");
}

TEST_F(WarmBootTest, ABadScratchArrayIsRefused) {
  info_->kho_scratch.size += 1;
  ExpectBoot("\"refused\".*\"scratch-length\"");
  info_->kho_scratch.size = 0;
  ExpectBoot("\"refused\".*\"scratch-length\"");
  info_->kho_scratch = {PhysAddr::FromRaw(~uint64_t{15}), 16};
  ExpectBoot("\"refused\".*\"outside-ram\"");
}

TEST_F(WarmBootTest, APreservedPageInUseIsRefused) {
  info_->initrd = {left_->blocks[2].begin() + 1000 * kPageSize, 1};
  ExpectBoot("\"refused\".*\"overlap\"");
}

TEST_F(WarmBootTest, TheFrameTableLiesInPieces) {
  // Of scratch nothing is left but three holes of four pages, which are too few for every chunk:
  // the last page comes from the allocator.
  info_->image = info_->initrd = info_->device_tree = {};
  const PhysRange area = left_->areas[2];
  info_->keep[0] = {left_->areas[0].begin, left_->areas[0].size};
  info_->keep[1] = {left_->areas[1].begin, left_->areas[1].size};
  info_->keep_count = 2;
  while (info_->keep_count < 5) {
    const uint64_t at = (info_->keep_count - 2) * kMiB;
    info_->keep[info_->keep_count++] = {area.begin + at + 4 * kPageSize, kMiB - 4 * kPageSize};
  }
  info_->keep[info_->keep_count++] = {area.begin + 3 * kMiB, area.size - 3 * kMiB};
  Boot([&] {
    Memory memory;
    Start(&memory);
    EXPECT_TRUE(memory.has_incoming);
    EXPECT_EQ(Count(memory, kRam, FrameState::kPreserved), Preserved());
    ExpectSound(memory, *info_);
  });
}

/// All of scratch but so many pages is in use.
class SmallScratchTest : public WarmBootTest, public testing::WithParamInterface<uint64_t> {
 protected:
  SmallScratchTest() {
    for (size_t i = 0; i < 3; ++i) {
      const PhysRange area = left_->areas[i];
      info_->keep[i] = {area.begin, area.size - (i == 1 ? GetParam() * kPageSize : 0)};
    }
    info_->keep_count = 3;
    info_->image = info_->initrd = info_->device_tree = {};
  }
};

/// Four pages are what the directory and the chunks need that differ inside; four more, what the
/// allocator needs to make the table whole.
INSTANTIATE_TEST_SUITE_P(UpTo13Pages, SmallScratchTest, testing::Range<uint64_t>(0, 14));

TEST_P(SmallScratchTest, IsTakenWhenTheFrameTableCanGrow) {
  if (GetParam() < 9) {
    ExpectBoot("\"refused\".*\"out-of-memory\"");
  } else {
    Boot([&] {
      Memory memory;
      Start(&memory);
      EXPECT_TRUE(memory.has_incoming);
      ExpectSound(memory, *info_);
    });
  }
}

}  // namespace
}  // namespace memory
