/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Memory reserved with reserve_mem=SIZE:ALIGN:NAME: the first kernel of a chain fills it, every
   later one finds it filled. Where it lies says the kernel's own memblock subtree. */

#include "command_line.h"
#include "content.h"
#include "dead.h"
#include "say.h"

struct area {
  unsigned long long start, size;
};

static unsigned int big_endian(const unsigned char *at) {
  return (unsigned int)at[0] << 24 | (unsigned int)at[1] << 16 | (unsigned int)at[2] << 8 | at[3];
}

/* Takes in one property of the node that was asked for. */
static void take_property(const char *name, const unsigned char *value, struct area *area) {
  if (!strcmp(name, "start")) memcpy(&area->start, value, 8);
  if (!strcmp(name, "size")) memcpy(&area->size, value, 8);
}

/* Finds the node `name` in a flattened device tree of `size` bytes. */
static int find_area(const unsigned char *fdt, size_t size, const char *name, struct area *area) {
  if (size < 40 || big_endian(fdt) != 0xd00dfeed) return 0;
  size_t at = big_endian(fdt + 8), names = big_endian(fdt + 12);
  int inside = 0;
  while (at + 12 <= size) {
    unsigned int token = big_endian(fdt + at);
    at += 4;
    if (token == 1) { /* begin node */
      inside = !strcmp((const char *)fdt + at, name);
      at += (strlen((const char *)fdt + at) + 4) & ~3UL;
    } else if (token == 2) { /* end node */
      if (inside) return area->size != 0;
    } else if (token == 3) { /* property */
      unsigned int bytes = big_endian(fdt + at), label = big_endian(fdt + at + 4);
      if (inside && bytes == 8 && names + label < size) {
        take_property((const char *)fdt + names + label, fdt + at + 8, area);
      }
      at += 8 + ((bytes + 3) & ~3U);
    } else if (token == 9) { /* end */
      break;
    }
  }
  return 0;
}

static void fail_pages(const char *name, struct area area, const struct wrong_pages *wrong,
                       unsigned long long pages) {
  char text[1000];
  int at =
      snprintf(text, sizeof(text), "%llu of %llu pages lost their content:", wrong->count, pages);
  for (unsigned i = 0; i < SHOWN && i < wrong->count; i++) {
    const struct wrong_page *page = &wrong->first[i];
    at += snprintf(text + at, sizeof(text) - (size_t)at, "%s page %llu of memblock/%s at 0x%llx",
                   i ? ";" : "", page->page, name, area.start + page->page * PAGE);
    at += put_words(text + at, sizeof(text) - (size_t)at, page);
  }
  FAIL("reserve_mem", text);
}

static void use_area(const char *name, struct area area, unsigned long long state, int fill) {
  int memory = open("/dev/mem", O_RDWR | O_SYNC);
  unsigned long long *words =
      mmap(NULL, area.size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, (off_t)area.start);
  if (memory < 0 || words == MAP_FAILED) {
    FAIL_ERRNO("reserve_mem", "/dev/mem");
    return;
  }
  unsigned long long pages = area.size / PAGE;
  struct wrong_pages wrong = {0};
  for (unsigned long long i = 0; i < pages; i++) {
    unsigned long long *page = words + i * (PAGE / sizeof(*words));
    if (fill) fill_page(page, content_base(state, i));
    check_page(page, content_base(state, i), PAGE, i, &wrong);
  }
  if (wrong.count != 0) fail_pages(name, area, &wrong, pages);
  if (is_to_crash()) {
    remember_pages(name, state, 0, area.start, pages);
    end_run();
  }
  munmap(words, area.size);
  close(memory);
  say_begin("reserved");
  say_text("name", name);
  say_hex("start", area.start);
  say_number("size", area.size);
  say_bool("revived", !fill);
  say_bool("ok", wrong.count == 0);
  say_end();
}

/* khorig.content=NAME:STATE for each area. */
static void use_reserved_memory(int fill) {
  static char fdt[PAGE + 1];
  if (access("/debug/kho", F_OK) != 0) return; /* no handover in this kernel, no list of areas */
  long size = read_file("/debug/kho/out/sub_fdts/memblock", fdt, sizeof(fdt));
  const char *from = NULL;
  const char *value;
  while (*(value = option("khorig.content=", &from))) {
    char name[64];
    struct area area = {0, 0};
    const char *colon = strchr(value, ':');
    if (!colon || (size_t)(colon - value) >= sizeof(name)) continue;
    memcpy(name, value, (size_t)(colon - value));
    name[colon - value] = '\0';
    if (size <= 0 || !find_area((unsigned char *)fdt, (size_t)size, name, &area)) {
      FAIL("reserve_mem", "the kernel does not list the area in kho/out/sub_fdts/memblock");
      continue;
    }
    use_area(name, area, strtoull(colon + 1, NULL, 16), fill);
  }
}
