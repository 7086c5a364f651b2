// SPDX-License-Identifier: BSD-3-Clause
#include "kernel/drivers/virtio.h"

#include "kernel/arch/cpu.h"
#include "kernel/base/direct_map.h"

namespace drivers {

using khocore::PhysAddr;

namespace {

constexpr uint32_t kAcknowledge = 1, kDriver = 2, kDriverOk = 4, kFeaturesOk = 8;
constexpr uint32_t kEntropy = 4;
constexpr unsigned kMaxPolls = 1 << 16;
constexpr uint16_t kDeviceWrites = 2;  // VIRTQ_DESC_F_WRITE
constexpr uint16_t kPosted = 2;
constexpr uint64_t kFirstBuffer = 2048, kSecondBuffer = 3072;  // in the page of the queue

struct Descriptor {
  uint64_t address;
  uint32_t length;
  uint16_t flags;
  uint16_t next;
};
static_assert(sizeof(Descriptor) * VirtioQueue::kSize == VirtioQueue::kAvailableOffset);

struct Available {
  uint16_t flags;
  uint16_t index;
  uint16_t ring[VirtioQueue::kSize];
};

void Fill(PhysAddr page, PhysAddr second) {
  auto* descriptors = base::Direct<Descriptor>(page);
  const PhysAddr buffers[kPosted] = {page + kFirstBuffer,
                                     second.is_null() ? page + kSecondBuffer : second};
  auto* available = base::Direct<Available>(page + VirtioQueue::kAvailableOffset);
  for (uint16_t i = 0; i < kPosted; ++i) {
    descriptors[i] = {buffers[i].raw(), PostedBuffers::kBytes, kDeviceWrites, 0};
    available->ring[i] = i;
  }
}

/// Gives it a queue, in the page that is returned; null for none.
PhysAddr GiveQueue(VirtioTransport& device, const PostedBuffers& buffers) {
  if (device.DeviceType() != kEntropy) return PhysAddr();
  const auto page = buffers.pages.AllocatePage();
  if (!page.ok()) return PhysAddr();
  Fill(page.value().address(), buffers.second);
  return device.EnableQueue({page.value().address()}) ? page.value().address() : PhysAddr();
}

}  // namespace

bool ResetVirtio(VirtioTransport& device) {
  if (device.Status() == 0) return false;
  device.SetStatus(0);
  for (unsigned i = 0; i < kMaxPolls && device.Status() != 0; ++i) arch::Pause();
  return true;
}

void StartVirtio(VirtioTransport& device, const PostedBuffers& buffers) {
  uint32_t status = kAcknowledge | kDriver;
  device.SetStatus(status);
  if (device.AcceptFeatures()) device.SetStatus(status |= kFeaturesOk);
  const PhysAddr queue = GiveQueue(device, buffers);
  device.SetStatus(status | kDriverOk);
  if (queue.is_null()) return;
  // Not earlier: QEMU's device looks at its queue when it gets its status, too, and the two looks
  // together could fill more than its rate allows.
  base::Direct<Available>(queue + VirtioQueue::kAvailableOffset)->index = kPosted;
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  device.Notify();
}

}  // namespace drivers
