// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/kexec/kexec.h"

#include <gtest/gtest.h>
#include <stdio.h>
#include <string.h>

#include <string>
#include <utility>
#include <vector>

#include "kernel/arch/exit.h"
#include "kernel/arch/host/machine.h"
#include "kernel/base/direct_map.h"
#include "kernel/handover/testing/printed.h"
#include "kernel/handover/testing/test_kernel.h"
#include "kernel/kexec/points.h"

namespace kexec {
namespace {

using arch::ExitStatus;
using handover::Count;
using handover::Printed;
using handover::TestKernel;
using handover::TestRam;
using khocore::kPageSize;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Scratch;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr PhysAddr kRoot = PhysAddr::FromRaw(0x123000);

std::string Image(uint64_t memory_bytes, uint64_t initrd_window = 0) {
  const host::Image image{host::kImageMagic, memory_bytes, initrd_window};
  return std::string(reinterpret_cast<const char*>(&image), sizeof(image)) + std::string(500, 'k');
}

std::string Padded(std::string text) {
  text.resize(khocore::AlignUp(text.size(), 4));
  return text;
}

std::string Cpio(const std::vector<std::pair<std::string, std::string>>& files) {
  std::string all;
  const auto add = [&](const std::string& name, const std::string& bytes) {
    char header[111];
    snprintf(header, sizeof(header), "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x",
             1, 0100644, 0, 0, 1, 0, bytes.size(), 0, 0, 0, 0, name.size() + 1, 0);
    all += Padded(header + name + '\0') + Padded(bytes);
  };
  for (const auto& [name, bytes] : files) add(name, bytes);
  add("TRAILER!!!", "");
  return all;
}

class KexecTest : public testing::Test {
 protected:
  KexecTest() {
    kernel_.info.image = {ram_.all.begin, kPageSize};
    SetCommandLine("scenario=x generation=9 seed=1");
    EXPECT_TRUE(scratch_.Add({ram_.all.begin, 4 * kMiB}).ok());
  }

  void SetCommandLine(const std::string& line) {
    ASSERT_LT(line.size(), sizeof(kernel_.info.command_line));
    memcpy(kernel_.info.command_line, line.c_str(), line.size() + 1);
  }

  /// Prints to the console.
  NextKernel LoadAloud(const std::string& archive, uint64_t seed = 1, uint32_t generation = 9) {
    base::Random random(seed);
    return LoadNextKernel(
        {.info = kernel_.info,
         .generation = generation,
         .archive = {reinterpret_cast<const uint8_t*>(archive.data()), archive.size()},
         .kho_root = kRoot,
         .scratch = scratch_,
         .ram = kernel_.memory.physical,
         .allocator = kernel_.memory.allocator,
         .random = random});
  }

  NextKernel Load(const std::string& archive, uint64_t seed = 1, uint32_t generation = 9) {
    NextKernel next;
    printed_ = Printed([&] { next = LoadAloud(archive, seed, generation); });
    return next;
  }

  static const host::Parameters& ParametersOf(const NextKernel& next) {
    const arch::Segment& last = next.segments[next.segment_count - 1];
    return *base::Direct<const host::Parameters>(last.source);
  }

  TestRam ram_;
  TestKernel kernel_{ram_};
  Scratch scratch_;
  std::string printed_;
};

TEST_F(KexecTest, PassesItsOwnCommandLineOnWithTheNextNumber) {
  const NextKernel next = Load(Cpio({{"kernel", Image(kMiB)}}));
  EXPECT_EQ(next.segment_count, 2u);
  EXPECT_EQ(next.entry, next.segments[0].destination.begin);
  EXPECT_EQ(next.parameters, next.segments[1].destination.begin);
  const host::Parameters& parameters = ParametersOf(next);
  EXPECT_EQ(parameters.kho_root, kRoot.raw());
  EXPECT_STREQ(parameters.command_line, "scenario=x seed=1 generation=10");
  EXPECT_EQ(Count(printed_, "\"ev\":\"segments\""), 1u) << printed_;
}

TEST_F(KexecTest, NoSegmentLiesOnTheNextKernelsZeroInitializedData) {
  const std::string archive =
      Cpio({{"kernel", Image(2 * kMiB)}, {"initrd", std::string(kMiB, 'i')}});
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const NextKernel next = Load(archive, seed);
    ASSERT_EQ(next.segment_count, 3u);
    EXPECT_EQ(next.segments[0].bytes, Image(0).size());
    EXPECT_EQ(next.segments[0].destination.size, 2 * kMiB) << "all that the image asks for";
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_TRUE(scratch_.area(0).Contains(next.segments[i].destination)) << "seed " << seed;
      for (size_t j = 0; j < i; ++j) {
        EXPECT_FALSE(next.segments[i].destination.Overlaps(next.segments[j].destination))
            << next.segments[i].name << " on " << next.segments[j].name << ", seed " << seed;
      }
    }
  }
}

TEST_F(KexecTest, AnInitrdLiesInReachOfItsKernel) {
  // The second area is out of reach from the first: in another window.
  const uint64_t kWindow = 16 * kMiB;
  ASSERT_OK(scratch_.Add({ram_.all.begin + kWindow, 4 * kMiB}));
  const std::string archive =
      Cpio({{"kernel", Image(kMiB, kWindow)}, {"initrd", std::string(kMiB, 'i')}});
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const NextKernel next = Load(archive, seed);
    const uint64_t kernel = next.segments[0].destination.begin.raw();
    const uint64_t initrd = next.segments[1].destination.begin.raw();
    EXPECT_EQ(khocore::AlignDown(kernel, kWindow), khocore::AlignDown(initrd, kWindow))
        << "seed " << seed;
  }
}

TEST_F(KexecTest, AnInitrdOutOfReachEndsTheMachine) {
  const std::string archive =
      Cpio({{"kernel", Image(3 * kMiB, 4 * kMiB)}, {"initrd", std::string(2 * kMiB, 'i')}});
  ASSERT_OK(scratch_.Add({ram_.all.begin + 16 * kMiB, 4 * kMiB}));
  EXPECT_MACHINE_END(LoadAloud(archive), ExitStatus::kUsage, "scratch-too-small");
}

TEST_F(KexecTest, ReadsTheCommandLineOfTheArchive) {
  const NextKernel next = Load(Cpio({{"kernel", Image(kMiB)}, {"cmdline", "console=x quiet\n"}}));
  EXPECT_STREQ(ParametersOf(next).command_line, "console=x quiet");
}

TEST_F(KexecTest, AHopHasAKernelALineAndTheArchive) {
  const std::string archive = Cpio({{"kernel", "no image"},
                                    {"initrd", "another"},
                                    {"linux", Image(kMiB)},
                                    {"hops/10", "linux\nroot=/dev/x\n"}});
  const NextKernel next = Load(archive);
  EXPECT_STREQ(ParametersOf(next).command_line, "root=/dev/x");
  EXPECT_EQ(next.segments[1].bytes, archive.size());
}

TEST_F(KexecTest, ALineThatFillsItsBufferIsPassedOn) {
  // "x..." and " generation=10" in 2047 bytes.
  SetCommandLine("generation=9 " + std::string(2047 - strlen(" generation=10"), 'x'));
  const NextKernel next = Load(Cpio({{"kernel", Image(kMiB)}}));
  EXPECT_EQ(strlen(ParametersOf(next).command_line), 2047u);
  EXPECT_EQ(std::string(ParametersOf(next).command_line).substr(2047 - 14), " generation=10");
}

TEST_F(KexecTest, ALineThatDoesNotFitEndsTheMachine) {
  SetCommandLine("generation=9 " + std::string(2047 - strlen("generation=9 "), 'x'));
  EXPECT_MACHINE_END(LoadAloud(Cpio({{"kernel", Image(kMiB)}})), ExitStatus::kUsage,
                     "longer than 2047 bytes with generation=10");
  SetCommandLine(std::string(2047, 'x'));
  EXPECT_MACHINE_END(LoadAloud(Cpio({{"kernel", Image(kMiB)}})), ExitStatus::kUsage,
                     "longer than 2047 bytes with generation=10");
}

TEST_F(KexecTest, SaysWhatIsWrongWithTheArchive) {
  const std::string image = Image(kMiB);
  const struct {
    std::string archive;
    const char* text;
  } kCases[] = {
      {"", "there is no archive"},
      {Cpio({{"initrd", "x"}}), "kernel: no such file"},
      {Cpio({{"kernel", "x"}}), "kernel: shorter than a header"},
      {Cpio({{"kernel", image}}).substr(0, 200), "hops/10: "},
      {Cpio({{"kernel", image}, {"cmdline", std::string(2048, 'x')}}), "cmdline: longer than 2047"},
      {Cpio({{"hops/10", "kernel"}, {"kernel", image}}), "hops/10: no file name in the first line"},
      {Cpio({{"hops/10", std::string(64, 'n') + "\n"}}), "hops/10: no file name"},
      {Cpio({{"hops/10", "other\n"}, {"kernel", image}}), "other: no such file"},
  };
  for (const auto& c : kCases) {
    EXPECT_MACHINE_END(LoadAloud(c.archive), ExitStatus::kUsage, c.text) << c.text;
  }
}

TEST_F(KexecTest, SaysWhatDoesNotFitIntoScratch) {
  EXPECT_MACHINE_END(LoadAloud(Cpio({{"kernel", Image(5 * kMiB)}})), ExitStatus::kUsage,
                     "the kernel needs 5242880 bytes in one piece");
}

PhysRange misplaced;
void Misplace(PlacedParameters& placed) {
  rig::Fire();
  placed.place = misplaced;
}
constexpr rig::Fault kMisplaced =
    rig::FaultAt<rig::Point::kParametersPlaced, Misplace>("misplaced", 1, "", "");

TEST_F(KexecTest, ParametersAreMisplacedByAFaultAlone) {
  misplaced = {ram_.all.begin + 8 * kMiB, kMiB};
  const std::string archive = Cpio({{"kernel", Image(kMiB)}});
  const NextKernel right = Load(archive, 1, 1);
  EXPECT_TRUE(scratch_.area(0).Contains(right.segments[1].destination));
  rig::ArmFault(&kMisplaced, 1);
  const NextKernel wrong = Load(archive, 1, 1);
  EXPECT_EQ(wrong.segments[1].destination, misplaced);
  EXPECT_EQ(wrong.parameters, misplaced.begin);
  EXPECT_EQ(Count(printed_, "\"ev\":\"fault\""), 1u);
  rig::ArmFault(nullptr, 1);
}

}  // namespace
}  // namespace kexec
