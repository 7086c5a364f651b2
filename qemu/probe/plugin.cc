// SPDX-License-Identifier: BSD-3-Clause
// The probe: a plugin of QEMU's TCG that stops CPUs at given instructions and records who stores
// where, in kernels that know nothing of it.
//
// -plugin probe.so,control=FD,socket=FD,ram=FD[,ram=FD...][,stores=on][,fetches=on]
//
// control: the memfd of control_block.h. socket: where stops are reported and answered. ram: the
// files of guest RAM, in order. Without `stores` and `fetches` only blocks that may have to stop
// get a callback; the rest runs as without plugin. A block is looked at when it is translated. One
// that was translated before the host armed a stop is translated again before it runs as part of
// the next kernel: loading that kernel wrote there, and QEMU drops the blocks of a page on a store.

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>

#include "qemu/probe/accesses.h"
#include "qemu/probe/callbacks.h"
#include "qemu/probe/control_block.h"
#include "qemu/probe/counter.h"
#include "qemu/probe/cpus.h"
#include "qemu/probe/qemu_api.h"
#include "qemu/probe/ram.h"
#include "qemu/probe/stops.h"

int qemu_plugin_version = KHORIG_PLUGIN_API;

namespace probe {
namespace {

constexpr size_t kMaxBlocks = size_t{1} << 20;

// A translated block, for its callback: QEMU passes one word.
struct Block {
  uint64_t pc;
  uint64_t physical;
};

// The words behind the plugin's name.
struct Options {
  int control = -1;
  int socket = -1;
  int ram[kMaxFiles] = {};
  size_t ram_count = 0;
  bool stores = false;
  bool fetches = false;

  std::span<const int> files() const { return {ram, ram_count}; }
};

class Plugin {
 public:
  Plugin(ControlBlock& block, const Options& options)
      : block_(block),
        options_(options),
        ram_(block),
        stops_(block, options.socket),
        accesses_(block, ram_) {}

  void OnTranslate(qemu_plugin_tb* tb);
  void OnInstruction(uint32_t cpu, uint64_t pc);
  void OnBlock(uint32_t cpu, size_t number);
  void OnAccess(uint32_t cpu, qemu_plugin_meminfo_t info, uint64_t address, uint64_t pc);
  void OnFlush() { __atomic_store_n(&used_, 0, __ATOMIC_RELEASE); }

 private:
  void FindRam();
  uint64_t PhysicalOf(qemu_plugin_insn* insn) const;
  void StopIn(qemu_plugin_tb* tb, size_t count);
  void Watch(qemu_plugin_tb* tb, size_t count);
  void OnPart(uint32_t cpu, qemu_plugin_meminfo_t info, uint64_t address, uint64_t size,
              uint64_t pc);

  ControlBlock& block_;
  const Options options_;
  Ram ram_;
  Stops stops_;
  Accesses accesses_;
  size_t used_ = 0;
  Block blocks_[kMaxBlocks];
};

Plugin* plugin;

void OnInstructionCallback(unsigned int cpu, void* pc) {
  plugin->OnInstruction(RunningCpu(cpu), reinterpret_cast<uint64_t>(pc));
}

void OnBlockCallback(unsigned int cpu, void* number) {
  plugin->OnBlock(RunningCpu(cpu), reinterpret_cast<size_t>(number));
}

void OnAccessCallback(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address, void* pc) {
  plugin->OnAccess(cpu, info, address, reinterpret_cast<uint64_t>(pc));
}

// The machine does not exist when a plugin is installed, and its RAM is mapped once.
void Plugin::FindRam() {
  if (__atomic_load_n(&block_.state, __ATOMIC_ACQUIRE) != kReady) return;
  const bool found = ram_.Find(options_.files());
  __atomic_store_n(&block_.state, found ? kMapped : kNoRam, __ATOMIC_RELEASE);
}

uint64_t Plugin::PhysicalOf(qemu_plugin_insn* insn) const {
  const auto offset = ram_.OffsetOf(qemu_plugin_insn_haddr(insn));
  return offset ? ram_.PhysicalOf(*offset).value_or(kNoPhysical) : kNoPhysical;
}

void Plugin::OnTranslate(qemu_plugin_tb* tb) {
  FindRam();
  const size_t count = qemu_plugin_tb_n_insns(tb);
  if (count == 0) return;
  StopIn(tb, count);
  if (options_.stores || options_.fetches) Watch(tb, count);
}

void Plugin::StopIn(qemu_plugin_tb* tb, size_t count) {
  qemu_plugin_insn* const last = qemu_plugin_tb_get_insn(tb, count - 1);
  const uint64_t begin = qemu_plugin_tb_vaddr(tb);
  const uint64_t end = qemu_plugin_insn_vaddr(last) + qemu_plugin_insn_size(last);
  const uint64_t awaited = stops_.AwaitedIn(begin, end);
  const bool may_fetch = block_.fetch_armed != 0;
  if (awaited == 0 && !may_fetch) return;
  for (size_t i = 0; i < count; ++i) {
    qemu_plugin_insn* const insn = qemu_plugin_tb_get_insn(tb, i);
    const uint64_t pc = qemu_plugin_insn_vaddr(insn);
    // A block may cross into the range.
    const bool stops = may_fetch && stops_.WantsFetch(pc, PhysicalOf(insn));
    if (!stops && (awaited == 0 || pc != awaited)) continue;
    qemu_plugin_register_vcpu_insn_exec_cb(insn, OnInstructionCallback, QEMU_PLUGIN_CB_NO_REGS,
                                           reinterpret_cast<void*>(pc));
    if (stops) break;
  }
}

void Plugin::Watch(qemu_plugin_tb* tb, size_t count) {
  CountInstructions(tb);
  if (options_.fetches) {
    // Beyond the table a block is counted with no address of its own.
    size_t number = __atomic_fetch_add(&used_, 1, __ATOMIC_RELAXED);
    if (number >= kMaxBlocks) {
      number = kMaxBlocks;
    } else {
      blocks_[number] = {qemu_plugin_tb_vaddr(tb), PhysicalOf(qemu_plugin_tb_get_insn(tb, 0))};
    }
    qemu_plugin_register_vcpu_tb_exec_cb(tb, OnBlockCallback, QEMU_PLUGIN_CB_NO_REGS,
                                         reinterpret_cast<void*>(number));
  }
  for (size_t i = 0; options_.stores && i < count; ++i) {
    qemu_plugin_insn* const insn = qemu_plugin_tb_get_insn(tb, i);
    qemu_plugin_register_vcpu_mem_cb(insn, OnAccessCallback, QEMU_PLUGIN_CB_NO_REGS,
                                     QEMU_PLUGIN_MEM_W,
                                     reinterpret_cast<void*>(qemu_plugin_insn_vaddr(insn)));
  }
}

// Only where the virtual address is the physical one does a fetch stop; an awaited address is
// virtual, and where it lies does not matter.
void Plugin::OnInstruction(uint32_t cpu, uint64_t pc) {
  stops_.OnFetch(cpu, pc, pc);
  stops_.OnAddress(cpu, pc, kNoPhysical);
}

void Plugin::OnBlock(uint32_t cpu, size_t number) {
  const Block block = number < kMaxBlocks ? blocks_[number] : Block{0, kNoPhysical};
  accesses_.OnBlock(cpu, block.pc, block.physical);
}

void Plugin::OnAccess(uint32_t cpu, qemu_plugin_meminfo_t info, uint64_t address, uint64_t pc) {
  // QEMU 7.2 delivers loads, too, whatever was asked for.
  if (!accesses_.WantsStores() || !qemu_plugin_mem_is_store(info)) return;
  const uint64_t size = uint64_t{1} << (qemu_plugin_mem_size_shift(info) & 7);
  const uint64_t in_page = kPageSize - address % kPageSize;
  if (size <= in_page) {
    OnPart(cpu, info, address, size, pc);
  } else {  // the two pages may lie anywhere
    OnPart(cpu, info, address, in_page, pc);
    OnPart(cpu, info, address + in_page, size - in_page, pc);
  }
}

void Plugin::OnPart(uint32_t cpu, qemu_plugin_meminfo_t info, uint64_t address, uint64_t size,
                    uint64_t pc) {
  const qemu_plugin_hwaddr* const where = qemu_plugin_get_hwaddr(info, address);
  if (where == nullptr || qemu_plugin_hwaddr_is_io(where)) return;
  if (const auto offset = ram_.OffsetOfReported(qemu_plugin_hwaddr_phys_addr(where))) {
    accesses_.OnStore(RunningCpu(cpu), pc, address, *offset, size);
  }
}

bool Parse(int argc, char** argv, Options& options) {
  for (int i = 0; i < argc; ++i) {
    const char* const value = std::strchr(argv[i], '=');
    if (value == nullptr) return false;
    const size_t length = static_cast<size_t>(value - argv[i]);
    const auto is = [&](const char* name) {
      return std::strlen(name) == length && std::strncmp(argv[i], name, length) == 0;
    };
    if (is("control")) {
      options.control = std::atoi(value + 1);
    } else if (is("socket")) {
      options.socket = std::atoi(value + 1);
    } else if (is("ram")) {
      if (options.ram_count == kMaxFiles) return false;
      options.ram[options.ram_count++] = std::atoi(value + 1);
    } else if (is("stores")) {
      options.stores = std::strcmp(value + 1, "on") == 0;
    } else if (is("fetches")) {
      options.fetches = std::strcmp(value + 1, "on") == 0;
    } else {
      return false;
    }
  }
  return options.control >= 0 && options.socket >= 0 && options.ram_count != 0;
}

// The control block, or nullptr when the descriptor is none of ours.
ControlBlock* MapControl(int descriptor) {
  struct stat file{};
  if (fstat(descriptor, &file) != 0 || file.st_size < static_cast<off_t>(sizeof(ControlBlock))) {
    return nullptr;
  }
  void* const at =
      mmap(nullptr, sizeof(ControlBlock), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (at == MAP_FAILED) return nullptr;
  auto* const block = static_cast<ControlBlock*>(at);
  const bool fits = block->magic == kMagic && block->size == sizeof(ControlBlock);
  return fits ? block : nullptr;
}

}  // namespace
}  // namespace probe

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t*, int argc, char** argv) {
  using namespace probe;  // NOLINT(google-build-using-namespace): this is C's entry point
  Options options;
  if (!Parse(argc, argv, options)) {
    std::fputs("probe: expects control=FD,socket=FD,ram=FD[,ram=FD...][,stores=on][,fetches=on]\n",
               stderr);
    return -1;
  }
  ControlBlock* const block = MapControl(options.control);
  if (block == nullptr) {
    std::fputs("probe: the control block is of another version\n", stderr);
    return -1;
  }
  // Untouched pages of it take no memory.
  void* const at = mmap(nullptr, sizeof(Plugin), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return -1;
  plugin = new (at) Plugin(*block, options);
  CallOnTranslation(id, [](qemu_plugin_tb* tb) { plugin->OnTranslate(tb); });
  CallOnFlush(id, [] { plugin->OnFlush(); });
  __atomic_store_n(&block->state, kReady, __ATOMIC_RELEASE);
  return 0;
}
