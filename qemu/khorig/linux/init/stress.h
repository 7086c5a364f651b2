/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* khorig.stress=on: what a kernel after a jump has to stand, behind the checks of what arrived. All
   free memory is touched in folios of every size, split, moved and merged, the pools of huge pages
   grow and shrink, CPUs go off and on; then all that is preserved is looked at again. */

#include "cpus.h"
#include "huge_pool.h"
#include "liveupdate.h"
#include "reserved.h"
#include "touch.h"

#define MAX_CPUS 288

static void fail_cpu(unsigned cpu, const char *what, int error) {
  char text[80];
  snprintf(text, sizeof(text), "CPU %u did not go %s: errno %d", cpu, what, error);
  FAIL("stress", text);
}

/* Every CPU that can be taken off, off and then on. Returns how many came back. */
static unsigned cycle_cpus(void) {
  static unsigned char is_off[MAX_CPUS];
  unsigned back = 0;
  char path[64];
  for (int on = 0; on < 2; on++) {
    for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++) {
      snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/online", cpu);
      /* The first CPU stays, where it can be taken off as well. */
      if (on ? !is_off[cpu] : !cpu || read_number(path) != 1) continue;
      int error = write_number(path, (unsigned)on);
      if (error) {
        fail_cpu(cpu, on ? "on" : "off", error);
        continue;
      }
      is_off[cpu] = !on;
      back += (unsigned)on;
    }
  }
  return back;
}

static void fail_lost(const char *where, const struct lost_pages *lost) {
  char text[200];
  if (!lost->count) return;
  snprintf(text, sizeof(text),
           "%llu pages of %s lost what was written to them, the first is page %llu at 0x%llx",
           lost->count, where, lost->number, lost->address);
  FAIL("stress", text);
}

static void fail_touching(const char *what, unsigned number) {
  char text[120];
  snprintf(text, sizeof(text), "%s %u", what, number);
  FAIL("stress", text);
}

static void say_stress(const struct touch *touch, const struct pools *pools,
                       unsigned long long available, unsigned cpus, int is_ok) {
  say_begin("stress");
  say_number("available", available);
  say_number("touched", touch->touched);
  say_number("left", touch->left);
  say_number("sizes", touch->sizes);
  say_number("split", touch->split);
  say_number("merged", touch->merged);
  say_bool("compacted", touch->compacted);
  say_number("killed", touch->killed);
  say_bool("late", (int)touch->late);
  say_number("pool_pages", pools->pages);
  say_number("pool_bytes", pools->bytes);
  say_number("cpus", cpus);
  say_bool("ok", is_ok);
  say_end();
}

static void use_stress(void) {
  if (!option_has("khorig.stress=", "on")) return;
  static struct touch touch;
  static struct pools pools;
  int failed_before = failed;
  say_begin("stress-start");
  say_end();
  failed = 0;
  unsigned long long available = memory_info("MemAvailable:");
  int error = touch_all(&touch);
  if (error) {
    errno = error;
    FAIL_ERRNO("stress", "a process that touches memory");
  } else if (touch.signal && touch.signal != SIGKILL) {
    fail_touching("the process that touches memory was killed by signal", touch.signal);
  } else if (!touch.touched || touch.killed == MAX_ATTEMPTS) {
    fail_touching("memory that is available could not be touched, attempts:", touch.killed);
  }
  fail_lost("free memory", &touch.lost);
  unsigned cpus = cycle_cpus();
  use_pools(&pools);
  fail_lost("huge pages", &pools.lost);
  if (pools.kept) FAIL("stress", "a pool of huge pages did not shrink");
  use_reserved_memory(0);
  check_memfds_again("stress");
  say_stress(&touch, &pools, available, cpus, !failed);
  failed |= failed_before;
}
