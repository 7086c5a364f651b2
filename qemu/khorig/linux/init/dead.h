/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What a crash kernel is to find in /proc/vmcore: pages with known content and where they lie, as
   lines "NAME STATE PAGE ADDRESS COUNT" of the file `dead`, which the dying kernel adds to the
   archive. */

#include "command_line.h"
#include "content.h"
#include "say.h"

#define DEAD_FILE "dead"

struct page_run {
  const char *name;
  unsigned long long state, page, address, count;
};

static char dead_text[1 << 15];
static size_t dead_size;
static struct page_run last_run;

/* Whether this kernel is to die, and the next one to be its crash kernel. */
static int is_to_crash(void) { return option_has("khorig.crash=", "panic"); }

static void end_run(void) {
  if (last_run.count == 0) return;
  int added =
      snprintf(dead_text + dead_size, sizeof(dead_text) - dead_size, "%s %llx %llu %llx %llu\n",
               last_run.name, last_run.state, last_run.page, last_run.address, last_run.count);
  if (added < 0 || (size_t)added >= sizeof(dead_text) - dead_size) {
    FAIL("crash", "too many runs of pages for the list of the crash kernel");
  } else {
    dead_size += (size_t)added;
  }
  last_run.count = 0;
}

/* `count` pages from `page` of an owner lie at `address`. */
static void remember_pages(const char *name, unsigned long long state, unsigned long long page,
                           unsigned long long address, unsigned long long count) {
  struct page_run *last = &last_run;
  int follows = last->count && last->state == state && last->page + last->count == page &&
                last->address + last->count * PAGE == address;
  if (!follows) {
    end_run();
    *last = (struct page_run){name, state, page, address, 0};
  }
  last->count += count;
}

/* The same for memory that is mapped: /proc/self/pagemap has its page frames. */
static void remember_mapping(const char *name, unsigned long long state, const void *words,
                             unsigned long long pages) {
  unsigned long size = (unsigned long)getpagesize();
  int map = open("/proc/self/pagemap", O_RDONLY);
  for (unsigned long long i = 0; i < pages; i++) {
    unsigned long at = (unsigned long)words + i * PAGE;
    unsigned long long entry = 0;
    lseek(map, (off_t)(at / size * sizeof(entry)), SEEK_SET);
    unsigned long long frame =
        read(map, &entry, sizeof(entry)) == sizeof(entry) ? entry & ((1ULL << 55) - 1) : 0;
    if (!(entry >> 63) || !frame) {
      FAIL_ERRNO("crash", "/proc/self/pagemap");
      break;
    }
    remember_pages(name, state, i, frame * size + at % size, 1);
  }
  close(map);
}
