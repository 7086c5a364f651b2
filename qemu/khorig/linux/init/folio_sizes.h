/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The sizes of folios that anonymous memory can have, below /sys/kernel/mm/transparent_hugepage. */

#include "system_file.h"

#define SIZES_AT "/sys/kernel/mm/transparent_hugepage"
#define MIN_FREE_AT "/proc/sys/vm/min_free_kbytes"
#define LESS_MIN_FREE 2048UL /* KiB; what the kernel keeps free is not touched */
#define MAX_SIZES 16

static struct {
  unsigned long kib;
  char policy[16];              /* as it was found */
  unsigned long long allocated; /* when we began */
} folio_sizes[MAX_SIZES];
static unsigned folio_size_count;

static const char *size_file(unsigned long kib, const char *name) {
  static char path[128];
  snprintf(path, sizeof(path), SIZES_AT "/hugepages-%lukB/%s", kib, name);
  return path;
}

static unsigned long long size_count(unsigned long kib, const char *name) {
  unsigned long long count = read_number(size_file(kib, name));
  return count == NO_NUMBER ? 0 : count;
}

/* "always [inherit] madvise never" */
static void read_policy(unsigned long kib, char *to, size_t size) {
  char text[64];
  snprintf(to, size, "never");
  if (read_file(size_file(kib, "enabled"), text, sizeof(text)) <= 0) return;
  char *from = strchr(text, '['), *end = from ? strchr(from, ']') : NULL;
  if (!end) return;
  *end = '\0';
  snprintf(to, size, "%s", from + 1);
}

static void find_folio_sizes(void) {
  folio_size_count = 0;
  for (unsigned long kib = 8; kib <= 1UL << 20 && folio_size_count < MAX_SIZES; kib *= 2) {
    if (access(size_file(kib, "enabled"), F_OK) != 0) continue;
    folio_sizes[folio_size_count].kib = kib;
    read_policy(kib, folio_sizes[folio_size_count].policy, sizeof(folio_sizes[0].policy));
    folio_sizes[folio_size_count++].allocated = size_count(kib, "stats/anon_fault_alloc");
  }
}

/* Faults from now on get folios of one size, `which` of folio_size_count; single pages behind the
   last. */
static void choose_folio_size(unsigned which) {
  for (unsigned i = 0; i < folio_size_count; i++) {
    write_word(size_file(folio_sizes[i].kib, "enabled"), i == which ? "always" : "never");
  }
  /* Each choice makes the kernel keep more free, to have huge pages at hand. */
  unsigned long long kept = read_number(MIN_FREE_AT);
  if (kept != NO_NUMBER && kept > LESS_MIN_FREE) write_number(MIN_FREE_AT, LESS_MIN_FREE);
}

static void restore_folio_sizes(void) {
  for (unsigned i = 0; i < folio_size_count; i++) {
    write_word(size_file(folio_sizes[i].kib, "enabled"), folio_sizes[i].policy);
  }
}

/* Huge pages can be made of single ones from now on. */
static void choose_huge_pages(void) {
  unsigned long long huge = read_number(SIZES_AT "/hpage_pmd_size");
  for (unsigned i = 0; i < folio_size_count; i++) {
    if (folio_sizes[i].kib << 10 == huge) choose_folio_size(i);
  }
}

/* How many of the sizes were really allocated, single pages among them. */
static unsigned allocated_sizes(void) {
  unsigned count = 1;
  for (unsigned i = 0; i < folio_size_count; i++) {
    unsigned long long now = size_count(folio_sizes[i].kib, "stats/anon_fault_alloc");
    count += now > folio_sizes[i].allocated;
  }
  return count;
}

static unsigned long long split_folios(void) {
  unsigned long long sum = 0;
  for (unsigned i = 0; i < folio_size_count; i++) {
    sum += size_count(folio_sizes[i].kib, "stats/split");
  }
  return sum;
}
