// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/fragment_reader.h"

#include <gtest/gtest.h>
#include <libfdt.h>
#include <stddef.h>
#include <string.h>

#include <functional>
#include <string>
#include <vector>

#include "khocore/abi/fdt.h"
#include "khocore/testing/test_machine.h"

namespace khocore {
namespace {

constexpr uint64_t kAt = TestMachine::kFree;

/// Fragments that libfdt alone has written, as Linux writes them.
class FragmentReaderTest : public testing::Test {
 protected:
  void* Fdt(uint64_t address = kAt) { return machine_.At(address); }

  /// An open tree with only a compatible string.
  void Begin(uint64_t address = kAt, int size = kPageSize) {
    fdt_ = Fdt(address);
    ASSERT_EQ(fdt_create(fdt_, size), 0);
    ASSERT_EQ(fdt_finish_reservemap(fdt_), 0);
    ASSERT_EQ(fdt_begin_node(fdt_, ""), 0);
    ASSERT_EQ(fdt_property_string(fdt_, "compatible", "x-v1"), 0);
  }
  void End() {
    ASSERT_EQ(fdt_end_node(fdt_), 0);
    ASSERT_EQ(fdt_finish(fdt_), 0);
  }
  void Put(const char* name, const std::string& bytes) {
    ASSERT_EQ(fdt_property(fdt_, name, bytes.data(), static_cast<int>(bytes.size())), 0);
  }
  static std::string U64(uint64_t value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  Result<FragmentReader> Open(uint64_t address = kAt, uint64_t size = kPageSize) {
    return FragmentReader::Open(machine_.memory, {Addr(address), size});
  }
  /// The address of the node at `path`, as libfdt finds it.
  uint64_t NodeAt(const char* path) {
    return kAt + fdt_off_dt_struct(Fdt()) + static_cast<uint64_t>(fdt_path_offset(Fdt(), path));
  }

  TestMachine machine_;
  void* fdt_ = nullptr;
};

TEST_F(FragmentReaderTest, RefusesAddresses) {
  for (const uint64_t offset : {4u, 8u, 2048u}) {
    EXPECT_ERROR(Open(kAt + offset), ErrorCode::kUnaligned, kAt + offset);
  }
  EXPECT_ERROR(Open(TestMachine::kEnd), ErrorCode::kOutsideRam, TestMachine::kEnd);
  EXPECT_ERROR(Open(TestMachine::kBase - kPageSize), ErrorCode::kOutsideRam,
               TestMachine::kBase - kPageSize);
  EXPECT_ERROR(Open(0 - kPageSize), ErrorCode::kOutsideRam, 0 - kPageSize);
  EXPECT_ERROR(Open(0), ErrorCode::kOutsideRam, 0u);
}

TEST_F(FragmentReaderTest, RefusesOtherMagic) {
  const auto zero = Open();
  EXPECT_ERROR(zero, ErrorCode::kFdtMagic, kAt);
  EXPECT_EQ(zero.error().found, 0u);
  EXPECT_EQ(zero.error().expected, 0xd00dfeedu);
  Begin();
  // Still being written: libfdt keeps another magic until the end.
  EXPECT_ERROR(Open(), ErrorCode::kFdtMagic, kAt);
  End();
  EXPECT_TRUE(Open().ok());
}

TEST_F(FragmentReaderTest, RefusesTotalSizes) {
  Begin();
  End();
  const uint32_t good = fdt_totalsize(Fdt());
  for (const uint32_t size : {0u, 39u, 4097u, 0x80000000u, 0xffffffffu}) {
    fdt_set_totalsize(Fdt(), size);
    const auto reader = Open();
    EXPECT_ERROR(reader, ErrorCode::kFdtTotalSize, kAt);
    EXPECT_EQ(reader.error().found, size);
  }
  // In the range, but not what is there.
  for (const uint32_t size : {40u, good - 1}) {
    fdt_set_totalsize(Fdt(), size);
    EXPECT_ERROR(Open(), ErrorCode::kFdtStructure, kAt);
  }
  fdt_set_totalsize(Fdt(), kPageSize);
  EXPECT_TRUE(Open().ok()) << "room behind the strings is fine";
}

TEST_F(FragmentReaderTest, MustFitItsBlob) {
  Begin();
  End();
  const uint32_t size = fdt_totalsize(Fdt());
  EXPECT_TRUE(Open(kAt, size).ok());
  EXPECT_TRUE(Open(kAt, 3 * kPageSize).ok());
  for (const uint64_t blob : {uint64_t{size} - 1, uint64_t{39}, uint64_t{0}}) {
    const auto reader = Open(kAt, blob);
    EXPECT_ERROR(reader, ErrorCode::kFdtTotalSize, kAt);
    EXPECT_EQ(reader.error().found, size);
    EXPECT_EQ(reader.error().expected, blob);
  }
  // A page is the most, however large the blob is.
  fdt_set_totalsize(Fdt(), kPageSize + 1);
  const auto reader = Open(kAt, 3 * kPageSize);
  EXPECT_ERROR(reader, ErrorCode::kFdtTotalSize, kAt);
  EXPECT_EQ(reader.error().expected, kPageSize);
}

TEST_F(FragmentReaderTest, StaysInsideATreeThatIsChangedBehindIt) {
  Begin();
  Put("last", "12345678");
  End();
  const auto reader = Open();
  ASSERT_OK(reader);
  const auto last = reader.value().Property(FragmentReader::root(), "last");
  ASSERT_OK(last);
  // Behind the value there are two tags to the end of the structure block.
  auto* const property = const_cast<uint8_t*>(last.value().data) - sizeof(abi::FdtProperty);
  for (const uint8_t size : {16, 17, 20, 28, 29, 255}) {
    property[offsetof(abi::FdtProperty, size) + 3] = size;
    const bool fits = size <= 16;
    EXPECT_EQ(reader.value().Property(FragmentReader::root(), "last").ok(), fits) << int{size};
  }
}

TEST_F(FragmentReaderTest, MustLieWithinRam) {
  Begin();
  End();
  const uint32_t size = fdt_totalsize(Fdt());
  PhysicalMemory cut;
  ASSERT_OK(cut.AddWindow({Addr(kAt), size - 1}, Fdt()));
  EXPECT_ERROR(FragmentReader::Open(cut, {Addr(kAt), kPageSize}), ErrorCode::kOutsideRam, kAt);
  PhysicalMemory exact;
  ASSERT_OK(exact.AddWindow({Addr(kAt), size}, Fdt()));
  ASSERT_OK(FragmentReader::Open(exact, {Addr(kAt), kPageSize}));
}

TEST_F(FragmentReaderTest, AcceptsWhatTheReadWriteFunctionsMake) {
  Begin();
  End();
  ASSERT_EQ(fdt_open_into(Fdt(), Fdt(), kPageSize), 0);
  const int node = fdt_add_subnode(Fdt(), 0, "n");
  ASSERT_GT(node, 0);
  ASSERT_EQ(fdt_setprop_string(Fdt(), node, "s", "v"), 0);
  const auto reader = Open();
  ASSERT_OK(reader);
  const FragmentNode read = reader.value().Subnode(FragmentReader::root(), "n").value();
  EXPECT_STREQ(reader.value().PropertyString(read, "s").value(), "v");
  EXPECT_EQ(reader.value().address(), Addr(kAt));
}

TEST_F(FragmentReaderTest, RefusesBrokenStructures) {
  const auto broken = [this](const std::function<void(void*)>& change) {
    Begin();
    Put("n", U64(1));
    End();
    ASSERT_OK(Open());
    change(Fdt());
    EXPECT_ERROR(Open(), ErrorCode::kFdtStructure, kAt);
  };
  broken([](void* fdt) { fdt_set_version(fdt, 15); });
  broken([](void* fdt) {  // what libfdt would still read
    fdt_set_version(fdt, 3);
    fdt_set_last_comp_version(fdt, 3);
  });
  broken([](void* fdt) { fdt_set_last_comp_version(fdt, 99); });
  broken([](void* fdt) { fdt_set_off_dt_struct(fdt, 4096); });
  broken([](void* fdt) { fdt_set_off_dt_strings(fdt, 0xfffffff0); });
  broken([](void* fdt) { fdt_set_off_mem_rsvmap(fdt, 0xfffffff8); });
  broken([](void* fdt) { fdt_set_size_dt_struct(fdt, 8); });
  broken([](void* fdt) { fdt_set_size_dt_strings(fdt, 0); });
  broken([](void* fdt) {  // an unknown tag in place of the root's end
    auto* bytes = static_cast<uint8_t*>(fdt) + fdt_off_dt_struct(fdt);
    bytes[fdt_size_dt_struct(fdt) - 5] = 0x7f;
  });
  broken([](void* fdt) {  // a property name beyond the strings
    auto* bytes = static_cast<uint8_t*>(fdt) + fdt_off_dt_struct(fdt);
    bytes[8 + 4 + 4 + 3] = 0xf0;
  });
  broken([](void* fdt) {  // a property longer than the tree
    auto* bytes = static_cast<uint8_t*>(fdt) + fdt_off_dt_struct(fdt);
    bytes[8 + 4 + 2] = 0x20;
  });
}

TEST_F(FragmentReaderTest, ReadsUnalignedNumbers) {
  Begin();
  Put("a", U64(0x1122334455667788));
  Put("b", U64(0x99aabbccddeeff00));
  Put("pad", std::string(4, 'x'));
  Put("c", U64(0x0102030405060708));
  End();
  const auto reader = Open();
  ASSERT_OK(reader);
  int unaligned = 0;
  for (const auto& [name, want] : {std::pair<const char*, uint64_t>{"a", 0x1122334455667788},
                                   {"b", 0x99aabbccddeeff00},
                                   {"c", 0x0102030405060708}}) {
    const auto bytes = reader.value().Property(FragmentReader::root(), name);
    ASSERT_OK(bytes);
    unaligned += reinterpret_cast<uintptr_t>(bytes.value().data) % 8 != 0;
    EXPECT_EQ(reader.value().PropertyU64(FragmentReader::root(), name).value(), want);
  }
  EXPECT_GT(unaligned, 0);
}

TEST_F(FragmentReaderTest, NamesWhatIsNotThere) {
  Begin();
  Put("short", "1234567");
  Put("long", "123456789");
  Put("empty", "");
  Put("open", "abc");
  Put("closed", std::string("ab\0cd", 5));
  End();
  const FragmentReader reader = Open().value();
  const FragmentNode root = reader.root();
  EXPECT_ERROR(reader.Subnode(root, "n"), ErrorCode::kNotFound, NodeAt("/"));
  EXPECT_ERROR(reader.Property(root, "p"), ErrorCode::kNotFound, NodeAt("/"));
  EXPECT_ERROR(reader.PropertyU64(root, "p"), ErrorCode::kNotFound, NodeAt("/"));
  EXPECT_ERROR(reader.PropertyString(root, "p"), ErrorCode::kNotFound, NodeAt("/"));
  EXPECT_ERROR(reader.PropertyU64(root, "short"), ErrorCode::kPropertySize, NodeAt("/"));
  const auto length = reader.PropertyU64(root, "long");
  EXPECT_ERROR(length, ErrorCode::kPropertySize, NodeAt("/"));
  EXPECT_EQ(length.error().found, 9u);
  EXPECT_EQ(length.error().expected, 8u);
  EXPECT_EQ(reader.Property(root, "empty").value().size, 0u);
  EXPECT_ERROR(reader.PropertyString(root, "empty"), ErrorCode::kPropertySize, NodeAt("/"));
  EXPECT_ERROR(reader.PropertyString(root, "open"), ErrorCode::kPropertySize, NodeAt("/"));
  EXPECT_STREQ(reader.PropertyString(root, "closed").value(), "ab");
}

TEST_F(FragmentReaderTest, ChecksLinks) {
  struct Case {
    const char* name;
    const char* data;  // null: absent
    const char* size;
    ErrorCode code;
  };
  const char kEight[] = "12345678";
  const char kZero[9] = {};
  const Case kCases[] = {
      {"none", nullptr, nullptr, ErrorCode::kDataMissing},
      {"no-data", nullptr, kEight, ErrorCode::kDataMissing},
      {"no-size", kEight, nullptr, ErrorCode::kBlobSizeMissing},
      {"short-data", "1234", kEight, ErrorCode::kPropertySize},
      {"short-size", kEight, "1234", ErrorCode::kPropertySize},
      {"empty-size", kEight, "", ErrorCode::kPropertySize},
      {"zero-size", kEight, kZero, ErrorCode::kBlobSizeRange},
  };
  Begin();
  for (const Case& c : kCases) {
    ASSERT_EQ(fdt_begin_node(fdt_, c.name), 0);
    const auto put = [&](const char* property, const char* bytes) {
      if (bytes != nullptr) Put(property, std::string(bytes, bytes == kZero ? 8 : strlen(bytes)));
    };
    put("preserved-data", c.data);
    put("blob-size", c.size);
    ASSERT_EQ(fdt_end_node(fdt_), 0);
  }
  End();
  const FragmentReader reader = Open().value();
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    const FragmentNode node = reader.Subnode(reader.root(), c.name).value();
    const uint64_t where = NodeAt((std::string("/") + c.name).c_str());
    EXPECT_EQ(reader.NodeAddress(node).raw(), where);
    EXPECT_EQ(reader.IsLink(node), c.data != nullptr || c.size != nullptr);
    EXPECT_ERROR(reader.Link(node), c.code, where);
  }
}

TEST_F(FragmentReaderTest, VisitsDirectSubnodesUntilAnError) {
  Begin();
  for (const char* name : {"a", "b", "c"}) {
    ASSERT_EQ(fdt_begin_node(fdt_, name), 0);
    ASSERT_EQ(fdt_begin_node(fdt_, "below"), 0);
    ASSERT_EQ(fdt_end_node(fdt_), 0);
    ASSERT_EQ(fdt_end_node(fdt_), 0);
  }
  End();
  const FragmentReader reader = Open().value();
  std::string names;
  const auto visit = [&](FragmentNode node, const char* name) -> Status {
    EXPECT_EQ(reader.NodeAddress(node).raw(), NodeAt((std::string("/") + name).c_str()));
    names += name;
    if (names == "ab") return Error{ErrorCode::kOverlap, Addr(7)};
    return Ok{};
  };
  EXPECT_ERROR(reader.ForEachSubnode(reader.root(), visit), ErrorCode::kOverlap, 7u);
  names = "x";
  ASSERT_OK(reader.ForEachSubnode(reader.root(), visit));
  EXPECT_EQ(names, "xabc");
  const FragmentNode a = reader.Subnode(reader.root(), "a").value();
  ASSERT_OK(reader.ForEachSubnode(reader.Subnode(a, "below").value(), visit));
  EXPECT_EQ(names, "xabc");
}

TEST_F(FragmentReaderTest, TellsFragmentsFromOtherBlobs) {
  const auto looks = [this](uint64_t at, uint64_t size) {
    return LooksLikeFragment(machine_.memory, {Addr(at), size});
  };
  EXPECT_FALSE(looks(kAt, kPageSize));  // no magic
  Begin();
  End();
  const uint32_t used = fdt_totalsize(Fdt());
  EXPECT_TRUE(looks(kAt, kPageSize));
  EXPECT_TRUE(looks(kAt, used));
  EXPECT_TRUE(looks(kAt, 3 * kPageSize));  // a generous blob with a small tree
  EXPECT_FALSE(looks(kAt, 39));            // no room for a header
  memcpy(machine_.At(kAt + 0x1008), Fdt(), used);
  EXPECT_FALSE(looks(kAt + 0x1008, kPageSize));  // not on a page boundary
  fdt_set_totalsize(Fdt(), kPageSize + 1);
  EXPECT_TRUE(looks(kAt, kPageSize));       // a page that says it is larger is a broken fragment
  EXPECT_FALSE(looks(kAt, 2 * kPageSize));  // a large tree is a plain blob
  EXPECT_FALSE(looks(TestMachine::kEnd, kPageSize));
}

TEST_F(FragmentReaderTest, OpensOnlyWhatLooksLikeAFragment) {
  Begin();
  End();
  const uint32_t used = fdt_totalsize(Fdt());
  memmove(machine_.At(kAt + 8), Fdt(), used);
  memmove(machine_.At(kAt + kPageSize), Fdt(), used);
  for (const uint64_t at : {kAt, kAt + 8, kAt + kPageSize, kAt + 2 * kPageSize}) {
    for (const uint32_t total : {used, 4096u, 4097u, 0u}) {
      fdt_set_totalsize(Fdt(kAt + kPageSize), total);
      for (const uint64_t size : {0u, 39u, 40u, used, 4095u, 4096u, 4097u, 8192u}) {
        const PhysRange blob{Addr(at), size};
        if (!FragmentReader::Open(machine_.memory, blob).ok()) continue;
        EXPECT_TRUE(LooksLikeFragment(machine_.memory, blob)) << at << ' ' << total << ' ' << size;
      }
    }
  }
}

}  // namespace
}  // namespace khocore
