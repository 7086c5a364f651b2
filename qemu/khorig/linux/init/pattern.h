/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A pattern in each 4 KiB of memory of our own, and where in physical memory it was lost. */

#include "content.h"
#include "say.h"

/* Of so many pages and as many after them the second half is dropped. */
#define DROP_SPAN 16UL

struct lost_pages {
  unsigned long long count, address, number; /* of the first: physical, index of its 4 KiB */
};

static unsigned long long *word_at(char *memory, unsigned long page, int last) {
  return (unsigned long long *)(memory + page * PAGE + (last ? PAGE - 8 : 0));
}

static void put_pattern(char *memory, unsigned long page) {
  *word_at(memory, page, 0) = content_base(INCREMENT, page);
  *word_at(memory, page, 1) = ~content_base(INCREMENT, page);
}

/* The physical address of our own memory; 0 where the kernel does not tell. */
static unsigned long long physical_address(const void *at) {
  unsigned long size = (unsigned long)getpagesize(), address = (unsigned long)at;
  unsigned long long entry = 0;
  int map = open("/proc/self/pagemap", O_RDONLY);
  if (map < 0) return 0;
  lseek(map, (off_t)(address / size * 8), SEEK_SET);
  if (read(map, &entry, sizeof(entry)) != sizeof(entry)) entry = 0;
  close(map);
  entry &= (1ULL << 55) - 1;
  return entry ? entry * size + address % size : 0;
}

static int is_dropped(unsigned long page) { return (page / DROP_SPAN) & 1; }

/* Looks at `pages` pages, without those that were dropped. */
static void check_pattern(char *memory, unsigned long pages, int some_dropped,
                          struct lost_pages *lost) {
  for (unsigned long page = 0; page < pages; page++) {
    if (some_dropped && is_dropped(page)) continue;
    unsigned long long wanted = content_base(INCREMENT, page);
    if (*word_at(memory, page, 0) == wanted && *word_at(memory, page, 1) == ~wanted) continue;
    if (lost->count++ == 0) {
      lost->address = physical_address(memory + page * PAGE);
      lost->number = page;
    }
  }
}
