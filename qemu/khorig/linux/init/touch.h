/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Touches all free memory, in a process of its own, which is the one to die when there is less than
   the kernel said. */

#include <sys/wait.h>

#include "folio_sizes.h"
#include "pattern.h"
#include "system_file.h"

#define ADVICE_COLLAPSE 25
#define MERGER_AT SIZES_AT "/khugepaged/"
#define MERGER_MS 5000 /* that it has for it */
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS | 0x4000 /* MAP_NORESERVE */)
#define TOUCH_CHUNK (8UL << 20) /* of one size of folios */
#define LAST_BYTES (48UL << 20) /* are touched as single pages: a choice needs memory */
#define TOUCH_SECONDS 60        /* of the guest; what is not touched by then is reported */
#define MAX_MERGES 16
#define MAX_ATTEMPTS 4

struct touch {
  unsigned long long touched, left; /* bytes; free when all was touched */
  unsigned long long split, merged; /* folios, huge pages */
  unsigned sizes, killed, late, signal;
  int compacted;
  struct lost_pages lost;
};

static unsigned long long seconds_now(void) {
  long time[2] = {0, 0};
  syscall(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, time);
  return (unsigned long long)time[0];
}

/* Gives memory back, and keeps its place. A kernel may have no madvise(). */
static void drop(char *memory, unsigned long bytes) {
  munmap(memory, bytes);
  mmap(memory, bytes, PROT_READ | PROT_WRITE, ANONYMOUS | MAP_FIXED, -1, 0);
}

/* Splits all folios, drops half of the memory here and there, and has the kernel move the rest. */
static void split_all(char *memory, unsigned long pages, struct touch *touch) {
  unsigned long long before = split_folios();
  write_word("/debug/split_huge_pages", "1");
  touch->split = split_folios() - before;
  check_pattern(memory, pages, 0, &touch->lost);
  for (unsigned long page = DROP_SPAN; page + DROP_SPAN <= pages; page += 2 * DROP_SPAN) {
    drop(memory + page * PAGE, DROP_SPAN * PAGE);
  }
  touch->compacted = write_word("/proc/sys/vm/compact_memory", "1") == 0;
  check_pattern(memory, pages, 1, &touch->lost);
}

/* Has khugepaged make huge pages for a while. */
static unsigned long long wait_for_merges(void) {
  unsigned long long before = read_number(MERGER_AT "pages_collapsed"), now = before;
  if (before == NO_NUMBER) return 0;
  write_number(MERGER_AT "pages_to_scan", 1 << 20);
  write_number(MERGER_AT "alloc_sleep_millisecs", 0);
  write_number(MERGER_AT "scan_sleep_millisecs", 10);
  for (int ms = 0; ms < MERGER_MS && now - before < MAX_MERGES; ms += 50) {
    poll(NULL, 0, 50);
    now = read_number(MERGER_AT "pages_collapsed");
  }
  write_number(MERGER_AT "scan_sleep_millisecs", 10000);
  return now - before;
}

/* Makes huge pages of single ones, and takes a page out of each. */
static void merge_some(char *memory, unsigned long pages, struct touch *touch) {
  unsigned long long huge = read_number(SIZES_AT "/hpage_pmd_size");
  if (huge == NO_NUMBER || huge > pages * PAGE) return;
  choose_huge_pages();
  for (unsigned long at = 0; touch->merged < MAX_MERGES && at + huge <= pages * PAGE; at += huge) {
    if (syscall(__NR_madvise, memory + at, huge, ADVICE_COLLAPSE) == 0) touch->merged++;
  }
  if (!touch->merged) touch->merged = wait_for_merges();
  check_pattern(memory, pages, 1, &touch->lost);
  for (unsigned long at = 0; at + huge <= pages * PAGE; at += huge) {
    drop(memory + at + DROP_SPAN * PAGE, PAGE);
  }
  check_pattern(memory, pages, 1, &touch->lost);
}

/* Fills up to `bytes` of new memory with a pattern. Its beginning is that of a huge page. */
static void touch_memory(unsigned long long bytes, struct touch *touch) {
  unsigned long long until = seconds_now() + TOUCH_SECONDS;
  unsigned long align = 2UL << 20;
  char *memory = mmap(NULL, bytes + align, PROT_READ | PROT_WRITE, ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  memory = (char *)(((unsigned long)memory + align - 1) & ~(align - 1));
  touch->touched = 0;
  int is_last = 0;
  for (unsigned chunk = 0; touch->touched < bytes && !touch->late; chunk++) {
    if (!is_last) {
      is_last = bytes - touch->touched < LAST_BYTES;
      choose_folio_size(is_last ? folio_size_count : chunk % (folio_size_count + 1));
    }
    for (unsigned long at = 0; at < TOUCH_CHUNK && touch->touched < bytes; at += PAGE) {
      put_pattern(memory, touch->touched / PAGE);
      touch->touched += PAGE;
    }
    touch->late = seconds_now() >= until;
  }
  touch->left = memory_info("MemFree:");
  touch->sizes = allocated_sizes();
  unsigned long pages = touch->touched / PAGE;
  check_pattern(memory, pages, 0, &touch->lost);
  split_all(memory, pages, touch);
  merge_some(memory, pages, touch);
}

/* What can be touched of the memory that is available now: less page tables, what is kept free, as
   much again where only movable pages go, and a little for everybody else. */
static unsigned long long bytes_to_touch(void) {
  unsigned long long available = memory_info("MemAvailable:");
  unsigned long long kept = available / 128 + (2 * LESS_MIN_FREE << 10) + (2UL << 20);
  return available > kept ? (available - kept) & ~(PAGE - 1) : 0;
}

/* A child that is killed for want of memory has left behind how far it came: with a little less it
   is tried again. Returns 0, or the errno of what kept it from being tried. */
static int touch_all(struct touch *touch) {
  struct touch *shared =
      mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return errno;
  unsigned long long min_free = read_number(MIN_FREE_AT);
  find_folio_sizes();
  choose_folio_size(0);
  unsigned long long bytes = bytes_to_touch();
  unsigned killed = 0, by = 0;
  int status = 0, error = 0;
  do {
    memset(shared, 0, sizeof(*shared));
    pid_t child = fork();
    if (child == 0) {
      write_word("/proc/self/oom_score_adj", "1000");
      touch_memory(bytes, shared);
      _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
      error = errno;
      break;
    }
    by = (unsigned)WTERMSIG(status); /* nolibc's WIFSIGNALED is true for an exit with 0 */
    bytes = shared->touched / 8 * 7 & ~(PAGE - 1);
    killed += by != 0;
  } while (by == SIGKILL && killed < MAX_ATTEMPTS && bytes);
  *touch = *shared;
  touch->killed = killed;
  touch->signal = by;
  restore_folio_sizes();
  if (min_free != NO_NUMBER) write_number(MIN_FREE_AT, min_free);
  munmap(shared, PAGE);
  return error;
}
