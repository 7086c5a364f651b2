/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Page contents that every kernel of a chain can recompute (docs/abi.md, "Random numbers"). */

#define PAGE 4096UL
#define INCREMENT 0x9e3779b97f4a7c15ULL

/* The first word of page `index` of an owner whose state for page 0 is `state`. */
static unsigned long long content_base(unsigned long long state, unsigned long long index) {
  unsigned long long z = state + index + INCREMENT;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

static void fill_page(unsigned long long *words, unsigned long long base) {
  for (size_t i = 0; i < PAGE / sizeof(*words); i++, base += INCREMENT) words[i] = base;
}

/* Collects the pages that are not as they should be: how many, and which are the first. */
#define SHOWN 4
struct wrong_pages {
  unsigned long long count, first[SHOWN];
};

static void add_wrong(struct wrong_pages *wrong, unsigned long long page) {
  if (wrong->count < SHOWN) wrong->first[wrong->count] = page;
  wrong->count++;
}

static int has_content(const unsigned long long *words, unsigned long long base) {
  for (size_t i = 0; i < PAGE / sizeof(*words); i++, base += INCREMENT) {
    if (words[i] != base) return 0;
  }
  return 1;
}
