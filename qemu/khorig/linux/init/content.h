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

/* The words of a page that holds nothing: base and increment are 0. */
#define NOTHING 0ULL

/* One page that is not as it should be, by its first wrong word. */
struct wrong_page {
  unsigned long long page, offset /* of the word, in the page */, found, expected;
};

/* Collects the pages that are not as they should be: how many, and which are the first. */
#define SHOWN 4
struct wrong_pages {
  unsigned long long count;
  struct wrong_page first[SHOWN];
};

static void add_wrong(struct wrong_pages *wrong, struct wrong_page page) {
  if (wrong->count < SHOWN) wrong->first[wrong->count] = page;
  wrong->count++;
}

/* Compares the first `bytes` bytes of page `page` of an owner with what fill_page() left, or with
   zeros when `base` is NOTHING. The last word may be cut off by the end of a file. */
static void check_page(const unsigned long long *words, unsigned long long base, size_t bytes,
                       unsigned long long page, struct wrong_pages *wrong) {
  unsigned long long increment = base == NOTHING ? 0 : INCREMENT;
  for (size_t at = 0; at < bytes; at += sizeof(*words), base += increment) {
    size_t left = bytes - at;
    unsigned long long mask = left < sizeof(*words) ? (1ULL << 8 * left) - 1 : ~0ULL;
    unsigned long long found = words[at / sizeof(*words)] & mask;
    if (found == (base & mask)) continue;
    add_wrong(wrong, (struct wrong_page){page, at, found, base & mask});
    return;
  }
}

/* ": word at +0x8 is 0x0, expected 0x1", at most 80 bytes. */
static int put_words(char *to, size_t size, const struct wrong_page *page) {
  return snprintf(to, size, ": word at +0x%llx is 0x%llx, expected 0x%llx", page->offset,
                  page->found, page->expected);
}
