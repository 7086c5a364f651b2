// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

#include "kernel/base/boot_info.h"
#include "khocore/page_source.h"
#include "khocore/physical_memory.h"
#include "khocore/result.h"
#include "khocore/types.h"

/// What an architecture supplies. x86_64, arm64 and host implement every name here, in files of the
/// same names; nothing else in the kernel knows which one it runs on.
///
/// All physical memory is identity-mapped once `MapRam` was called for it, so a physical address
/// outside the kernel's image is also a virtual one. The image itself is linked and mapped at
/// `kImageBase`, wherever it was loaded.

namespace arch {

/// "x86_64", "arm64" or "host".
extern const char kName[];

// ---- console.cc: the serial port, polled. Usable from the first line of C++ on.

/// Writes one byte; waits for room, but not forever, so that a dead port cannot hang the kernel.
void ConsolePut(char byte);
/// Reads one byte if there is one.
bool ConsoleTryGet(char* byte);

// ---- cpu.cc

/// RAM below this is left to firmware and start-up code (1 MiB on x86_64, 0 elsewhere).
extern const uint64_t kFirstUsable;

/// Virtual time in nanoseconds since reset, as the CPU counts it. Under QEMU's `-icount shift=0`
/// one unit is one instruction of the guest (on arm64 with the grain of the generic timer).
uint64_t Counter();
/// How wide Linux's csum_partial folds a buffer's sum before it adds the sum of those before: 32 or
/// 16 bits.
extern const unsigned kLinuxChecksumBits;
/// A hint for polling loops.
void Pause();
/// Stops this CPU with interrupts off.
[[noreturn]] void Halt();

// ---- exit.cc

/// How a run ends, as QEMU's own exit status. All odd and above 32, so that neither QEMU's own
/// errors (1) nor a plain power-off (0) nor a signal looks like one of them.
enum class ExitStatus : uint8_t {
  kPass = 33,
  kFail = 35,      ///< the guest found something wrong and has said what
  kPanic = 37,     ///< an exception or a bug of the kernel
  kNoMemory = 39,  ///< too little RAM for what the command line asks
  kUsage = 41,     ///< the command line or the archive cannot be used
};
/// Ends the machine (isa-debug-exit, semihosting); where there is no such device, halts.
[[noreturn]] void Exit(ExitStatus status);

// ---- mmu.cc

/// The virtual address the image is linked at. Images are at most `kImageMaxSize` in memory.
extern const uint64_t kImageBase;
inline constexpr uint64_t kImageMaxSize = uint64_t{2} << 20;

/// Gives each part of the image its own rights: text read and execute, constants read, data and
/// stack read and write, and an unmapped page below the stack. Called once, early.
void ProtectImage();
/// Identity-maps RAM, cached, read and write, never executable. Rounds outwards to the map's grain.
/// On an error what lies below `where` is mapped. Errors: `kOutOfMemory` when the static pool of page tables is used up, `kOutsideRam` beyond what
/// the architecture can address, `kOverlap` when RAM and device registers share a piece of the
/// map's grain (arm64).
khocore::Status MapRam(khocore::PhysRange range);
/// Identity-maps device registers, uncached. Errors: as `MapRam`.
khocore::Status MapDevice(khocore::PhysRange range);

// ---- exceptions.cc

/// Routes every exception to a register dump, a symbolized backtrace and `ExitStatus::kPanic`.
void InstallExceptionHandlers();
/// Calls `visit(return address)` for each frame from the caller on, at most `limit`, stopping at
/// the first frame pointer outside the CPU's stack.
void WalkStack(uint64_t frame_pointer, unsigned limit, void (*visit)(uint64_t pc));

// ---- smp.cc: the other CPUs. They share page tables and handlers with the one that booted, which
// alone calls these functions unless it says otherwise. The only interrupt that any of them takes
// is the one of a panic.

/// More CPUs than this are left alone.
inline constexpr size_t kMaxCpus = 64;
/// What each CPU but the first needs for stacks and tables, aligned to its size.
inline constexpr uint64_t kCpuMemory = 64 << 10;

/// The number of the CPU that calls; 0 for the one that booted.
size_t CpuNumber();
/// Looks for the machine's CPUs (MADT, device tree) and returns how many there are, this one and
/// those beyond `kMaxCpus` included. Firmware's tables are untrusted; what cannot be used is said.
/// Called once.
size_t FindCpus(const boot::BootInfo& info);
/// What the hardware calls a CPU: APIC ID, MPIDR.
uint64_t HardwareId(size_t number);

enum class StartResult : uint8_t {
  kStarted,
  kImpossible,  ///< there is no way to start it
  kNoAnswer,    ///< it was told to, and did not come in time
  kRunning,     ///< it runs already: the last kernel has left it behind
};
/// Starts the CPU `number`, which calls `entry(number)` on a stack of its own. `memory` are
/// `kCpuMemory` bytes of mapped RAM that belong to it from then on, even if it does not come.
StartResult StartCpu(const boot::BootInfo& info, size_t number, khocore::PhysRange memory,
                     void (*entry)(size_t number));

/// Called by a CPU as its last act in this kernel.
[[noreturn]] void LeaveCpu();
/// Called by the first CPU for each that was told to start and is about to call `LeaveCpu`: brings
/// it to where neither the copy of the next kernel nor that kernel can run it over, in the state
/// that a next kernel starts it from. False when it still runs.
bool RemoveCpu(size_t number);
/// Writes an endless loop to the page of RAM at `page`, for a CPU that a defect leaves there.
void (*MakeLoop(khocore::PhysAddr page))();
/// Interrupts the other CPUs (NMI, SGI) so that they come to `core::StopForPanic`. Where the
/// machine's interrupt controller cannot be used, they get there by looking. Any CPU may call it.
void InterruptOtherCpus();

// ---- kexec.cc

/// A piece of the next kernel's memory: `bytes` copied from `source` to `destination`, the rest of
/// the last page zeroed. What follows up to the destination's end is the kernel's own to zero, as
/// every boot protocol has it. Sources lie outside every destination.
struct Segment {
  const char* name;
  khocore::PhysAddr source;
  uint64_t bytes;
  khocore::PhysRange destination;
};

/// What the header of a kernel image (bzImage, Image) asks for. See `ReadImageHeader`.
struct ImageHeader {
  uint64_t payload_offset;  ///< where in the file the loaded part starts
  uint64_t payload_bytes;
  uint64_t memory_bytes;  ///< with zero-initialized data and work space
  uint64_t alignment;     ///< of the load address, a power of two
  uint64_t minimum_address;
  uint64_t entry_offset;  ///< of the entry from the load address
};
/// Reads and checks the header of the image in `file`, untrusted bytes. `*why` tells in words what
/// is wrong ("no HdrS at 0x202", ...) when it returns false.
bool ReadImageHeader(khocore::Span<const uint8_t> file, ImageHeader* header, const char** why);

/// What the next kernel is told.
struct NextBoot {
  const boot::BootInfo* info;               ///< this kernel's machine, passed on
  khocore::Span<const uint8_t> image_file;  ///< x86 copies its setup header from here
  const char* command_line;
  khocore::PhysRange initrd;  ///< where it will lie, or empty
  khocore::PhysAddr kho_root;
  khocore::Span<const khocore::PhysRange> scratch;  ///< the areas, for the array
};

/// Bytes that `BuildParameters` needs at most for this boot.
uint64_t ParametersSize(const NextBoot& next);
/// Alignment of the parameters' destination (a page, or what the device tree needs).
extern const uint64_t kParametersAlignment;
/// Writes boot_params, setup_data, command line and scratch array (x86_64) or the device tree and
/// scratch array (arm64) for the next kernel into `buffer`, for use at `destination`.
/// Errors: `kNoSpace`, `kFdtStructure`.
khocore::Status BuildParameters(const NextBoot& next, khocore::Span<uint8_t> buffer,
                                khocore::PhysAddr destination);

/// Switches off what could write to memory or interrupt the next kernel: interrupts, timers,
/// interrupt controllers, bus mastering. Calls `said(what, count)` for each kind, as text for the
/// log. Printing still works afterwards.
void Quiesce(void (*said)(const char* what, unsigned count));

/// Everything the jump needs, made while allocation is still possible. All its pages come from
/// `pages`, outside every destination, so that the copy cannot run over its own code, stack or page
/// tables. Segments and `pages` lie in `ram`, which is mapped during the copy, and when the next
/// kernel starts with the MMU on. Errors: `kOutOfMemory`.
struct JumpPlan {
  khocore::PhysAddr control;  ///< first page of what the architecture prepared
};
khocore::Result<JumpPlan> PrepareJump(khocore::Span<const Segment> segments,
                                      khocore::PhysAddr entry, khocore::PhysAddr parameters,
                                      const khocore::PhysicalMemory& ram,
                                      khocore::PageSource& pages);
/// Copies and jumps. Interrupts are off, the caches are clean when the next kernel starts.
[[noreturn]] void Jump(const JumpPlan& plan);

}  // namespace arch
