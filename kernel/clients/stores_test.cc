// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/clients/stores.h"

#include <gtest/gtest.h>
#include <string.h>

#include <string>
#include <vector>

#include "kernel/base/direct_map.h"
#include "kernel/handover/testing/test_kernel.h"
#include "khocore/abi/clients.h"
#include "khocore/abi/handover.h"
#include "khocore/vmalloc.h"

namespace clients {
namespace {

using handover::CodeOf;
using handover::TestKernel;
using handover::TestRam;
using khocore::ErrorCode;
using khocore::FragmentWriter;
using khocore::kPageSize;
using khocore::Ok;
using khocore::Order;
using khocore::PageFrame;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Status;
namespace abi = khocore::abi;

class StoresTest : public testing::Test {
 protected:
  static void Fill(TestKernel& kernel, const Stores::Store& store, uint8_t byte) {
    EXPECT_TRUE(Stores::ForEachPage(kernel.memory.physical, store,
                                    [&](PageFrame page, uint64_t index) -> Status {
                                      memset(base::Direct<void>(page.address()),
                                             static_cast<int>(byte + index), kPageSize);
                                      return Ok{};
                                    })
                    .ok());
  }

  static void ExpectFilled(TestKernel& kernel, const Stores::Store& store, uint8_t byte) {
    EXPECT_TRUE(Stores::ForEachPage(kernel.memory.physical, store,
                                    [&](PageFrame page, uint64_t index) -> Status {
                                      const auto* bytes = base::Direct<uint8_t>(page.address());
                                      EXPECT_EQ(bytes[0], static_cast<uint8_t>(byte + index));
                                      EXPECT_EQ(bytes[kPageSize - 1], bytes[0]);
                                      return Ok{};
                                    })
                    .ok());
  }

  /// Hands over all of `stores` and returns the root.
  static PhysAddr HandOver(TestKernel& kernel, const Stores& stores) {
    kernel.Begin(1);
    EXPECT_TRUE(stores.Preserve(kernel.outgoing).ok());
    const Status written = stores.Serialize(kernel.outgoing);
    EXPECT_TRUE(written.ok()) << khocore::Describe(written);
    return kernel.Close();
  }

  /// Another kernel's hand: a fragment with one store, as `fill` writes it, and its restore.
  template <typename Write>
  ErrorCode RestoreOf(Write write) {
    TestRam ram;
    TestKernel first(ram);
    first.Begin();
    const PhysRange fragment = first.WriteFragment(
        abi::kStoresCompatible, [&](FragmentWriter& writer) { write(first, writer); });
    EXPECT_TRUE(first.outgoing.AddLink("stores", fragment).ok());
    TestKernel second(ram, 2, first.Close());
    Stores restored;
    return CodeOf(restored.Restore(second.incoming));
  }

  static std::vector<PageFrame> Blocks(TestKernel& kernel, size_t count, Order order) {
    std::vector<PageFrame> blocks;
    for (size_t i = 0; i < count; ++i) {
      const auto block = kernel.memory.allocator.Allocate(order);
      EXPECT_TRUE(block.ok());
      blocks.push_back(block.value());
    }
    return blocks;
  }

  /// A list of blocks that are preserved with `preserved_order`.
  static abi::Vmalloc List(TestKernel& kernel, size_t count, Order order, Order preserved_order) {
    std::vector<PageFrame> blocks = Blocks(kernel, count, order);
    const auto list = khocore::WriteVmalloc(kernel.memory.physical, kernel.memory.allocator,
                                            {blocks.data(), blocks.size()}, order);
    EXPECT_TRUE(list.ok());
    for (const PageFrame block : blocks) {
      EXPECT_TRUE(kernel.outgoing.tracker().Preserve({block, preserved_order}).ok());
    }
    const PageFrame chunk = PageFrame::Containing(PhysAddr::FromRaw(list.value().first));
    EXPECT_TRUE(kernel.outgoing.tracker().Preserve({chunk, Order()}).ok());
    return list.value();
  }

  static void WriteStore(FragmentWriter& writer, const char* name, const abi::Vmalloc& list,
                         uint64_t size) {
    (void)writer.BeginNode(name);
    (void)writer.PropertyString(abi::kCompatibleProperty, abi::kStoreCompatible);
    (void)writer.Property("vmalloc", {reinterpret_cast<const uint8_t*>(&list), sizeof(list)});
    (void)writer.PropertyU64("size", size);
    (void)writer.EndNode();
  }
};

TEST_F(StoresTest, ComesBackWithSizesAndContent) {
  TestRam ram;
  TestKernel first(ram);
  Stores stores;
  const uint64_t sizes[] = {1, kPageSize, kPageSize + 1, 600 * kPageSize};
  for (size_t i = 0; i < std::size(sizes); ++i) {
    const auto store =
        stores.Create(first.generation, ("store-" + std::to_string(i)).c_str(), sizes[i]);
    ASSERT_OK(store);
    Fill(first, *store.value(), static_cast<uint8_t>(i));
  }
  TestKernel second(ram, 2, HandOver(first, stores));
  Stores restored;
  ASSERT_OK(restored.Restore(second.incoming));
  EXPECT_EQ(second.incoming.stores, std::size(sizes));
  for (size_t i = 0; i < std::size(sizes); ++i) {
    const Stores::Store* store = restored.Find(("store-" + std::to_string(i)).c_str());
    ASSERT_NE(store, nullptr);
    EXPECT_EQ(store->size, sizes[i]);
    ExpectFilled(second, *store, static_cast<uint8_t>(i));
  }
  // All but the root, which the course takes back.
  EXPECT_EQ(second.incoming.restored().blocks + 1, second.incoming.summary().blocks);
}

TEST_F(StoresTest, FreesEveryPageOfAStoreAndItsList) {
  TestRam ram;
  TestKernel kernel(ram);
  Stores stores;
  const uint64_t free = kernel.memory.allocator.free_pages();
  for (const uint64_t pages : {1, 511, 512, 1200}) {
    ASSERT_OK(stores.Create(kernel.generation, "gone", pages * kPageSize));
    const uint64_t chunks = (pages + 510) / 511;
    EXPECT_EQ(kernel.memory.allocator.free_pages(), free - pages - chunks);
    ASSERT_OK(stores.Remove(kernel.generation, "gone"));
    EXPECT_EQ(kernel.memory.allocator.free_pages(), free);
  }
  EXPECT_EQ(CodeOf(stores.Remove(kernel.generation, "gone")), ErrorCode::kNotFound);
}

TEST_F(StoresTest, RemovesTheOneThatIsMeant) {
  TestRam ram;
  TestKernel kernel(ram);
  Stores stores;
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_OK(stores.Create(kernel.generation, name, kPageSize));
  }
  ASSERT_OK(stores.Remove(kernel.generation, "a"));
  EXPECT_EQ(stores.Find("a"), nullptr);
  ASSERT_NE(stores.Find("b"), nullptr);
  ASSERT_NE(stores.Find("c"), nullptr);
  EXPECT_STREQ(stores.Find("c")->name, "c");
}

TEST_F(StoresTest, TakesAsManyAsItSaysOfTheLongestName) {
  TestRam ram;
  TestKernel first(ram);
  Stores stores;
  const auto name_of = [](size_t i) {
    const std::string number = std::to_string(i);
    return number + std::string(Stores::kMaxName - 1 - number.size(), 'x');
  };
  for (size_t i = 0; i < Stores::kMaxStores; ++i) {
    ASSERT_OK(stores.Create(first.generation, name_of(i).c_str(), i + 1));
  }
  EXPECT_EQ(CodeOf(stores.Create(first.generation, "more", 1).ok()
                       ? Status(Ok{})
                       : stores.Create(first.generation, "more", 1).error()),
            ErrorCode::kNoSpace);
  TestKernel second(ram, 2, HandOver(first, stores));
  Stores restored;
  ASSERT_OK(restored.Restore(second.incoming));
  for (size_t i = 0; i < Stores::kMaxStores; ++i) {
    const Stores::Store* store = restored.Find(name_of(i).c_str());
    ASSERT_NE(store, nullptr) << name_of(i);
    EXPECT_EQ(store->size, i + 1);
  }
  EXPECT_EQ(second.incoming.restored().blocks + 1, second.incoming.summary().blocks);
}

TEST_F(StoresTest, NoStoreLeavesNothingBehind) {
  TestRam ram;
  TestKernel first(ram);
  TestKernel second(ram, 2, HandOver(first, Stores()));
  Stores restored;
  EXPECT_TRUE(restored.Restore(second.incoming).ok());
  EXPECT_EQ(second.incoming.stores, 0u);
}

TEST_F(StoresTest, RefusesSizesAndNames) {
  TestRam ram;
  TestKernel kernel(ram);
  Stores stores;
  const auto create = [&](const std::string& name, uint64_t size) {
    const auto store = stores.Create(kernel.generation, name.c_str(), size);
    return store.ok() ? ErrorCode::kCount : store.error().code;
  };
  const uint64_t free = kernel.memory.allocator.free_pages();
  EXPECT_EQ(create("empty", 0), ErrorCode::kNoSpace);
  EXPECT_EQ(create("huge", ~uint64_t{0}), ErrorCode::kNoSpace);
  EXPECT_EQ(create(std::string(Stores::kMaxName, 'x'), 1), ErrorCode::kNoSpace);
  EXPECT_EQ(create("larger than memory", ram.all.size), ErrorCode::kOutOfMemory);
  EXPECT_EQ(kernel.memory.allocator.free_pages(), free);
  EXPECT_EQ(create(std::string(Stores::kMaxName - 1, 'x'), 1), ErrorCode::kCount);
}

TEST_F(StoresTest, ComparesTheOrderOfTheListWithWhatWasPreserved) {
  const Order large = Order::FromLog2(5);
  EXPECT_EQ(RestoreOf([&](TestKernel& kernel, FragmentWriter& writer) {
              WriteStore(writer, "s", List(kernel, 2, large, large), 64 * kPageSize);
            }),
            ErrorCode::kCount);
  EXPECT_EQ(RestoreOf([&](TestKernel& kernel, FragmentWriter& writer) {
              WriteStore(writer, "s", List(kernel, 2, large, Order()), 64 * kPageSize);
            }),
            ErrorCode::kNotPreserved)
      << "31 pages of each block would be read and written that nobody preserved";
  EXPECT_EQ(RestoreOf([&](TestKernel& kernel, FragmentWriter& writer) {
              WriteStore(writer, "s", List(kernel, 2, large, Order::FromLog2(4)), kPageSize);
            }),
            ErrorCode::kNotPreserved);
}

TEST_F(StoresTest, ComparesTheSizeWithTheList) {
  const auto with_size = [&](uint64_t size) {
    return RestoreOf([&](TestKernel& kernel, FragmentWriter& writer) {
      WriteStore(writer, "s", List(kernel, 3, Order(), Order()), size);
    });
  };
  EXPECT_EQ(with_size(3 * kPageSize), ErrorCode::kCount);
  EXPECT_EQ(with_size(3 * kPageSize + 1), ErrorCode::kBlobSizeRange);
  EXPECT_EQ(with_size(~uint64_t{0}), ErrorCode::kBlobSizeRange);
  EXPECT_EQ(with_size(0), ErrorCode::kBlobSizeRange);
}

TEST_F(StoresTest, RefusesPropertiesOfOtherLengths) {
  EXPECT_EQ(RestoreOf([&](TestKernel&, FragmentWriter& writer) {
              (void)writer.BeginNode("s");
              const uint8_t bytes[sizeof(abi::Vmalloc) + 4] = {};
              (void)writer.Property("vmalloc", {bytes, sizeof(bytes)});
              (void)writer.PropertyU64("size", 1);
              (void)writer.EndNode();
            }),
            ErrorCode::kPropertySize);
  EXPECT_EQ(RestoreOf([&](TestKernel&, FragmentWriter& writer) {
              (void)writer.BeginNode("s");
              (void)writer.EndNode();
            }),
            ErrorCode::kNotFound);
}

TEST_F(StoresTest, RefusesNamesAndNumbersOfStoresThatFindNoRoom) {
  const auto with_name = [&](const std::string& name) {
    return RestoreOf([&](TestKernel& kernel, FragmentWriter& writer) {
      WriteStore(writer, name.c_str(), List(kernel, 1, Order(), Order()), 1);
    });
  };
  EXPECT_EQ(with_name(std::string(Stores::kMaxName - 1, 'n')), ErrorCode::kCount);
  EXPECT_EQ(with_name(std::string(Stores::kMaxName, 'n')), ErrorCode::kNoSpace);
}

TEST_F(StoresTest, RefusesPagesThatAnotherStoreHas) {
  EXPECT_EQ(RestoreOf([&](TestKernel& kernel, FragmentWriter& writer) {
              const abi::Vmalloc list = List(kernel, 1, Order(), Order());
              WriteStore(writer, "one", list, 1);
              WriteStore(writer, "two", list, 1);
            }),
            ErrorCode::kNotPreserved);
}

}  // namespace
}  // namespace clients
