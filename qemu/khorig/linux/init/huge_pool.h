/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The pools of huge pages, one of each size: grown, used and shrunk again. */

#include "pattern.h"
#include "system_file.h"

#define POOLS_AT "/sys/kernel/mm/hugepages"
#define MAX_POOL 16

struct pools {
  unsigned long long pages, bytes; /* that were in pools, of all sizes */
  unsigned long long kept;         /* pages that a pool did not give back */
  struct lost_pages lost;
};

/* Uses every page of a pool of pages of 2^shift bytes. */
static void use_pool(unsigned shift, unsigned long long pages, struct pools *pools) {
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | 0x40000 /* MAP_HUGETLB */ | (int)(shift << 26);
  char *memory = mmap(NULL, pages << shift, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (memory == MAP_FAILED) return;
  unsigned long count = (pages << shift) / PAGE;
  for (unsigned long page = 0; page < count; page++) put_pattern(memory, page);
  check_pattern(memory, count, 0, &pools->lost);
  munmap(memory, pages << shift);
  pools->pages += pages;
  pools->bytes += pages << shift;
}

static void use_pool_of(unsigned shift, struct pools *pools) {
  char path[96];
  snprintf(path, sizeof(path), POOLS_AT "/hugepages-%lukB/nr_hugepages", 1UL << (shift - 10));
  unsigned long long before = read_number(path);
  unsigned long long pages = (memory_info("MemAvailable:") / 4) >> shift;
  if (before == NO_NUMBER || !pages) return;
  if (pages > MAX_POOL) pages = MAX_POOL;
  write_number(path, before + pages); /* as many as there is room for */
  unsigned long long now = read_number(path);
  if (now == NO_NUMBER || now <= before) return;
  use_pool(shift, now - before, pools);
  write_number(path, before);
  now = read_number(path);
  if (now != NO_NUMBER && now > before) pools->kept += now - before;
}

static void use_pools(struct pools *pools) {
  for (unsigned shift = 14; shift <= 34; shift++) use_pool_of(shift, pools);
}
