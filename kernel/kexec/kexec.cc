// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/kexec/kexec.h"

#include <string.h>

#include "kernel/arch/cpu.h"
#include "kernel/arch/mmu.h"
#include "kernel/base/cpio.h"
#include "kernel/base/direct_map.h"
#include "kernel/base/format.h"
#include "kernel/kexec/linux_boot.h"
#include "kernel/kexec/points.h"
#include "kernel/kexec/segment_placer.h"
#include "kernel/rig/event.h"
#include "kernel/rig/require.h"

namespace kexec {
namespace {

using arch::Segment;
using base::CpioResult;
using base::CpioResultName;
using base::Direct;
using base::FindInCpio;
using base::FormatTo;
using khocore::PhysAddr;
using khocore::PhysRange;
using khocore::Span;
using rig::EndWithError;
using rig::Event;
using rig::RequestError;
using rig::Require;

constexpr char kGenerationOption[] = "generation=";

PhysAddr AddressOf(const void* bytes) {
  return PhysAddr::FromRaw(reinterpret_cast<uint64_t>(bytes));
}

/// Ends the machine when nothing fits.
PhysRange Place(SegmentPlacer& placer, const char* what, uint64_t size, uint64_t alignment,
                uint64_t minimum, PhysAddr limit = SegmentPlacer::kNoLimit) {
  const PhysRange place = placer.Place(size, alignment, PhysAddr::FromRaw(minimum), limit);
  if (place.size == 0) {
    EndWithError(RequestError::kUsage, "scratch-too-small",
                 "the %s needs %lu bytes in one piece, more than scratch has", what,
                 khocore::AlignUp(size, khocore::kPageSize));
  }
  return place;
}

/// This kernel's command line with the number of the next generation in place of its own. Ends the
/// machine when that does not fit: the next number may have a digit more.
const char* NextCommandLine(const LoadRequest& request) {
  static char line[base::BootInfo::kMaxCommandLine];
  size_t length = 0;
  for (const char* at = request.info.command_line; *at != '\0';) {
    const char* end = at;
    while (*end != '\0' && *end != ' ') ++end;
    const auto token = static_cast<size_t>(end - at);
    if (token != 0 && strncmp(at, kGenerationOption, strlen(kGenerationOption)) != 0) {
      memcpy(line + length, at, token);
      length += token;
      line[length++] = ' ';
    }
    at = *end == '\0' ? end : end + 1;
  }
  const size_t room = sizeof(line) - length;
  if (FormatTo(line + length, room, "%s%u", kGenerationOption, request.generation + 1) >= room) {
    EndWithError(RequestError::kUsage, "command-line", "longer than %lu bytes with generation=%u",
                 sizeof(line) - 1, request.generation + 1);
  }
  return line;
}

Span<const uint8_t> FindFile(const LoadRequest& request, const char* name, bool required) {
  Span<const uint8_t> file;
  const Span<const uint8_t> archive = request.archive;
  const CpioResult result = FindInCpio(archive, name, &file);
  if (result == CpioResult::kFound) return file;
  if (required || result != CpioResult::kNoSuchFile) {
    EndWithError(RequestError::kUsage, "archive", "%s: %s", name,
                 archive.size == 0 ? "there is no archive (initrd)" : CpioResultName(result));
  }
  return {};
}

const char* CopyCommandLine(const char* name, Span<const uint8_t> text) {
  static char line[base::BootInfo::kMaxCommandLine];
  if (text.size >= sizeof(line)) {
    EndWithError(RequestError::kUsage, "archive", "%s: longer than %lu bytes", name,
                 sizeof(line) - 1);
  }
  memcpy(line, text.data, text.size);
  line[text.size] = '\0';
  if (text.size != 0 && line[text.size - 1] == '\n') line[text.size - 1] = '\0';
  return line;
}

/// The files of the archive for the next kernel (docs/abi.md).
struct NextFiles {
  Span<const uint8_t> kernel;
  Span<const uint8_t> initrd;
  const char* command_line;
};

/// `hop` names the kernel's file in its first line, the command line in its second. The archive
/// itself is passed on as initrd: it is one for the whole chain.
NextFiles FilesOfHop(const LoadRequest& request, const char* name, Span<const uint8_t> hop) {
  size_t length = 0;
  while (length < hop.size && hop[length] != '\n') ++length;
  char kernel[64];
  if (length >= sizeof(kernel) || length == hop.size) {
    EndWithError(RequestError::kUsage, "archive", "%s: no file name in the first line", name);
  }
  memcpy(kernel, hop.data, length);
  kernel[length] = '\0';
  const Span<const uint8_t> rest{hop.data + length + 1, hop.size - length - 1};
  return {FindFile(request, kernel, true), request.archive, CopyCommandLine(name, rest)};
}

NextFiles FindNextFiles(const LoadRequest& request) {
  char name[24];
  FormatTo(name, sizeof(name), "hops/%u", request.generation + 1);
  const Span<const uint8_t> hop = FindFile(request, name, false);
  if (hop.size != 0) return FilesOfHop(request, name, hop);
  const Span<const uint8_t> line = FindFile(request, "cmdline", false);
  return {FindFile(request, "kernel", true), FindFile(request, "initrd", false),
          line.size != 0 ? CopyCommandLine("cmdline", line) : NextCommandLine(request)};
}

Segment PlaceKernel(SegmentPlacer& placer, Span<const uint8_t> file, const ImageHeader& header) {
  return {"kernel", AddressOf(file.data) + header.payload_offset, header.payload_bytes,
          Place(placer, "kernel", header.memory_bytes, header.alignment, header.minimum_address)};
}

/// Where in reach of the kernel at `kernel` its initrd may lie.
PhysRange PlaceInitrd(SegmentPlacer& placer, uint64_t size, const ImageHeader& header,
                      PhysAddr kernel) {
  uint64_t minimum = arch::kFirstUsable;
  PhysAddr limit = SegmentPlacer::kNoLimit;
  if (header.initrd_window != 0) {
    minimum = khocore::AlignDown(kernel.raw(), header.initrd_window_alignment);
    limit = PhysAddr::FromRaw(minimum) + header.initrd_window;
  }
  return Place(placer, "initrd", size, khocore::kPageSize, minimum, limit);
}

Segment BuildParameterSegment(const LoadRequest& request, SegmentPlacer& placer,
                              const NextKernel& kernel, NextBoot& next) {
  const uint64_t size = ParametersSize(next);
  PlacedParameters placed{
      request, kernel, next,
      Place(placer, "parameters", size, kParametersAlignment, arch::kFirstUsable)};
  rig::At<rig::Point::kParametersPlaced>(placed);
  const PhysRange place = placed.place;
  const PhysRange buffer =
      Require(request.allocator.AllocateRange(size, khocore::kPageSize), "parameters");
  memset(Direct<void>(buffer.begin), 0, buffer.size);
  Require(BuildParameters(next, {Direct<uint8_t>(buffer.begin), size}, place.begin), "parameters");
  return {"parameters", buffer.begin, size, place};
}

void ReportSegments(const NextKernel& kernel) {
  Event event("segments");
  event.Begin("list", '[');
  for (size_t i = 0; i < kernel.segment_count; ++i) {
    const Segment& segment = kernel.segments[i];
    event.ItemBegin('[')
        .ItemText(segment.name)
        .Item(segment.destination.begin.raw())
        .Item(segment.destination.size)
        .End(']');
  }
  event.End(']').Hex("entry", kernel.entry.raw());
}

}  // namespace

NextKernel LoadNextKernel(const LoadRequest& request) {
  const NextFiles files = FindNextFiles(request);
  const Span<const uint8_t> file = files.kernel;
  const Span<const uint8_t> initrd = files.initrd;
  ImageHeader header;
  const char* why = "";
  if (!ReadImageHeader(file, &header, &why)) {
    EndWithError(RequestError::kUsage, "image", "kernel: %s", why);
  }
  if (header.page_shift != 0 && !arch::HasPageSize(header.page_shift)) {
    EndWithError(RequestError::kUsage, "image",
                 "kernel: built for pages of %u KiB, which this CPU does not have",
                 1u << (header.page_shift - 10));
  }
  SegmentPlacer placer(request.scratch, request.random);
  NextKernel next;
  const auto add = [&next](const Segment& segment) {
    next.segments[next.segment_count++] = segment;
  };
  add(PlaceKernel(placer, file, header));
  next.entry = next.segments[0].destination.begin + header.entry_offset;
  NextBoot next_boot{.info = &request.info,
                     .image_file = file,
                     .command_line = files.command_line,
                     .initrd = {},
                     .kho_root = request.kho_root,
                     .scratch = request.scratch.areas()};
  if (initrd.size != 0) {
    const PhysRange place =
        PlaceInitrd(placer, initrd.size, header, next.segments[0].destination.begin);
    next_boot.initrd = {place.begin, initrd.size};
    add({"initrd", AddressOf(initrd.data), initrd.size, place});
  }
  add(BuildParameterSegment(request, placer, next, next_boot));
  next.parameters = next.segments[next.segment_count - 1].destination.begin;
  PlacedSegments placed{request, next, &request.allocator};
  rig::At<rig::Point::kSegmentsPlaced>(placed);
  next.plan = Require(arch::PrepareJump({next.segments, next.segment_count}, next.entry,
                                        next.parameters, request.ram, *placed.pages),
                      "jump");
  PreparedJump prepared{request, next};
  rig::At<rig::Point::kJumpPrepared>(prepared);
  ReportSegments(next);
  return next;
}

}  // namespace kexec
