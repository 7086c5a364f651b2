// SPDX-License-Identifier: BSD-3-Clause
#include "khocore/result.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace khocore {
namespace {

TEST(ErrorName, IsUniqueAndStable) {
  // The host matches these; an entry may be added, never changed.
  const char* const kNames[] = {
      "out-of-memory",
      "no-space",
      "not-found",
      "not-preserved",
      "not-allocated",
      "already-preserved",
      "outside-ram",
      "inside-scratch",
      "unaligned",
      "overlap",
      "order-range",
      "radix-null",
      "radix-cycle",
      "fdt-magic",
      "fdt-total-size",
      "fdt-structure",
      "compatible-missing",
      "compatible-mismatch",
      "map-missing",
      "property-size",
      "data-missing",
      "blob-size-missing",
      "blob-size-range",
      "blob-not-preserved",
      "fragment-cycle",
      "fragment-depth",
      "vmalloc-chain",
      "scratch-length",
      "scratch-unaligned",
      "scratch-overlap",
      "version",
      "magic",
      "page-size",
  };
  ASSERT_EQ(std::size(kNames), static_cast<size_t>(ErrorCode::kCount));
  for (size_t i = 0; i < std::size(kNames); ++i) {
    EXPECT_STREQ(ErrorName(static_cast<ErrorCode>(i)), kNames[i]);
  }
  EXPECT_EQ(std::set<std::string>(std::begin(kNames), std::end(kNames)).size(), std::size(kNames));
}

TEST(ErrorName, AnswersForAnyByte) {
  EXPECT_STREQ(ErrorName(ErrorCode::kCount), "unknown");
  EXPECT_STREQ(ErrorName(static_cast<ErrorCode>(255)), "unknown");
}

TEST(Result, HoldsEitherSide) {
  const Result<int> value = 7;
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(value.value(), 7);

  const Result<int> error = Error{ErrorCode::kNotFound, PhysAddr::FromRaw(5), 1, 2};
  ASSERT_FALSE(error.ok());
  EXPECT_EQ(error.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(error.error().where.raw(), 5u);
  EXPECT_EQ(error.error().found, 1u);
  EXPECT_EQ(error.error().expected, 2u);
}

TEST(ResultDeathTest, TrapsOnTheWrongSide) {
  const Result<int> value = 7;
  const Result<int> error = Error{ErrorCode::kNotFound, PhysAddr()};
  EXPECT_DEATH((void)value.error(), "");
  EXPECT_DEATH((void)error.value(), "");
}

Status ReturnsFirstError(const Status& first, int* reached) {
  KHOCORE_RETURN_IF_ERROR(first);
  ++*reached;
  return Ok{};
}

TEST(Result, MacroReturnsTheError) {
  int reached = 0;
  EXPECT_TRUE(ReturnsFirstError(Ok{}, &reached).ok());
  EXPECT_EQ(reached, 1);
  const Status status = ReturnsFirstError(Error{ErrorCode::kOverlap, PhysAddr()}, &reached);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kOverlap);
  EXPECT_EQ(reached, 1);
}

}  // namespace
}  // namespace khocore
