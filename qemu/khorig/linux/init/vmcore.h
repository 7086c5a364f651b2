/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* /proc/vmcore in a crash kernel (khorig.crash=check): whether it is the dead kernel's memory. */

#include <elf.h>

#include "command_line.h"
#include "content.h"
#include "dead.h"
#include "machine.h" /* arch/ */
#include "say.h"

#define MAX_PARTS 512
#define MAX_NOTES_SIZE (1 << 18)

static const char *vmcore_path = "/proc/vmcore";
static const char *dead_path = "/" DEAD_FILE;

struct vmcore {
  int file;
  Elf64_Phdr parts[MAX_PARTS];
  unsigned count;
  unsigned loads;
  unsigned cpus;              /* with registers */
  unsigned long long pcs[64]; /* of the first of them */
  char release[65];
};

/* Reads all of it at a place. Returns whether it could. */
static int read_at(int file, unsigned long long at, void *to, size_t size) {
  size_t have = 0;
  if (lseek(file, (off_t)at, SEEK_SET) != (off_t)at) return 0;
  while (have < size) {
    ssize_t got = read(file, (char *)to + have, size - have);
    if (got <= 0) return 0;
    have += (size_t)got;
  }
  return 1;
}

static int read_headers(struct vmcore *core) {
  Elf64_Ehdr header;
  if (!read_at(core->file, 0, &header, sizeof(header))) {
    FAIL_ERRNO("vmcore", "ELF header of /proc/vmcore");
    return 0;
  }
  if (memcmp(header.e_ident, "\177ELF\2\1", 6) || header.e_type != ET_CORE) {
    FAIL("vmcore", "/proc/vmcore is no ELF core of 64 bits");
    return 0;
  }
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phnum > MAX_PARTS) {
    FAIL("vmcore", "/proc/vmcore has program headers of another size, or too many");
    return 0;
  }
  core->count = header.e_phnum;
  if (!read_at(core->file, header.e_phoff, core->parts, core->count * sizeof(Elf64_Phdr))) {
    FAIL_ERRNO("vmcore", "program headers of /proc/vmcore");
    return 0;
  }
  for (unsigned i = 0; i < core->count; i++) core->loads += core->parts[i].p_type == PT_LOAD;
  return 1;
}

/* The value of OSRELEASE= in vmcoreinfo, which is text without a NUL. */
static void take_release(struct vmcore *core, const char *text, size_t size) {
  static const char key[] = "OSRELEASE=";
  for (size_t at = 0; at + sizeof(key) <= size; at++) {
    if ((at && text[at - 1] != '\n') || memcmp(text + at, key, sizeof(key) - 1)) continue;
    size_t length = 0;
    for (at += sizeof(key) - 1; at < size && text[at] != '\n'; at++) {
      if (length < sizeof(core->release) - 1) core->release[length++] = text[at];
    }
    core->release[length] = '\0';
    return;
  }
}

static void take_note(struct vmcore *core, unsigned type, const char *name, size_t name_size,
                      const char *data, size_t size) {
  if (name_size == 11 && !memcmp(name, "VMCOREINFO", 11)) take_release(core, data, size);
  if (name_size != 5 || memcmp(name, "CORE", 5) || type != NT_PRSTATUS) return;
  unsigned long long pc = 0;
  if (size >= PRSTATUS_PC + sizeof(pc)) memcpy(&pc, data + PRSTATUS_PC, sizeof(pc));
  if (pc == 0) return;
  if (core->cpus < 64) core->pcs[core->cpus] = pc;
  core->cpus++;
}

static void read_part_with_notes(struct vmcore *core, const Elf64_Phdr *part) {
  static char notes[MAX_NOTES_SIZE];
  if (part->p_filesz > sizeof(notes) ||
      !read_at(core->file, part->p_offset, notes, part->p_filesz)) {
    FAIL("vmcore", "notes of /proc/vmcore cannot be read");
    return;
  }
  size_t at = 0, end = part->p_filesz;
  while (at + sizeof(Elf64_Nhdr) <= end) {
    Elf64_Nhdr note;
    memcpy(&note, notes + at, sizeof(note));
    size_t name = at + sizeof(note), data = name + ((note.n_namesz + 3UL) & ~3UL);
    at = data + ((note.n_descsz + 3UL) & ~3UL);
    if (note.n_namesz == 0 || at > end) return;
    take_note(core, note.n_type, notes + name, note.n_namesz, notes + data, note.n_descsz);
  }
}

/* Reads a page of the dead kernel by its physical address. */
static int read_dead_page(const struct vmcore *core, unsigned long long address, void *page) {
  for (unsigned i = 0; i < core->count; i++) {
    const Elf64_Phdr *part = &core->parts[i];
    if (part->p_type != PT_LOAD || address < part->p_paddr) continue;
    unsigned long long inside = address - part->p_paddr;
    if (inside >= part->p_filesz || part->p_filesz - inside < PAGE) continue;
    return read_at(core->file, part->p_offset + inside, page, PAGE);
  }
  return 0;
}

struct dead_pages {
  unsigned long long count, wrong, absent;
  char text[800]; /* of the first that are not as they should be */
  int length;
};

static void check_run(const struct vmcore *core, const struct page_run *run,
                      struct dead_pages *pages) {
  static unsigned long long page[PAGE / 8];
  for (unsigned long long i = 0; i < run->count; i++) {
    unsigned long long number = run->page + i, address = run->address + i * PAGE;
    struct wrong_pages wrong = {0};
    char words[96] = " (not there)";
    int is_there = read_dead_page(core, address, page);
    pages->count++;
    if (is_there) check_page(page, content_base(run->state, number), PAGE, number, &wrong);
    if (is_there && !wrong.count) continue;
    if (is_there) put_words(words, sizeof(words), &wrong.first[0]);
    if (pages->wrong + pages->absent < SHOWN) {
      pages->length +=
          snprintf(pages->text + pages->length, sizeof(pages->text) - (size_t)pages->length,
                   "%s page %llu of %.40s at 0x%llx%s", pages->length ? ";" : "", number, run->name,
                   address, words);
    }
    *(is_there ? &pages->wrong : &pages->absent) += 1;
  }
}

/* Cuts the next field off a line. */
static char *next_field(char **at) {
  char *field = *at;
  while (**at && **at != ' ') ++*at;
  if (**at) *(*at)++ = '\0';
  return field;
}

static struct dead_pages check_dead_pages(const struct vmcore *core) {
  static char list[sizeof(dead_text) + 1];
  struct dead_pages pages = {0};
  if (read_file(dead_path, list, sizeof(list)) < 0) {
    FAIL_ERRNO("vmcore", dead_path);
    return pages;
  }
  for (char *line = list; *line;) {
    char *end = strchr(line, '\n'), *at = line;
    if (!end) break;
    *end = '\0';
    struct page_run run;
    run.name = next_field(&at);
    run.state = strtoull(next_field(&at), NULL, 16);
    run.page = strtoull(next_field(&at), NULL, 10);
    run.address = strtoull(next_field(&at), NULL, 16);
    run.count = strtoull(next_field(&at), NULL, 10);
    check_run(core, &run, &pages);
    line = end + 1;
  }
  return pages;
}

/* Where the ELF headers lie that this kernel was given: on the command line, or in /chosen. */
static unsigned long long headers_at(void) {
  unsigned char cells[17];
  unsigned long long address = 0;
  const char *value = option("elfcorehdr=", NULL);
  if (*value) return strtoull(value, NULL, 0);
  const char *property = "/sys/firmware/devicetree/base/chosen/linux,elfcorehdr";
  if (read_file(property, (char *)cells, sizeof(cells)) < 8) return 0;
  for (int i = 0; i < 8; i++) address = address << 8 | cells[i];
  return address;
}

static void fail_dead_pages(const struct dead_pages *pages) {
  char text[1000];
  snprintf(text, sizeof(text),
           "%llu of %llu pages of the dead kernel changed and %llu are not in /proc/vmcore:%s",
           pages->wrong, pages->count, pages->absent, pages->text);
  FAIL("vmcore", text);
}

static void report_vmcore(const struct vmcore *core, const struct dead_pages *pages) {
  say_begin("vmcore");
  say_hex("headers", headers_at());
  say_number("loads", core->loads);
  say_number("cpus", core->cpus);
  say_hex("pc", core->pcs[0]);
  say_text("osrelease", core->release);
  say_number("pages", pages->count);
  say_number("wrong", pages->wrong + pages->absent);
  say_bool("ok", pages->wrong + pages->absent == 0);
  say_end();
}

static void check_vmcore(void) {
  static struct vmcore core;
  if (!option_has("khorig.crash=", "check")) return;
  core.file = open(vmcore_path, O_RDONLY);
  if (core.file < 0) {
    FAIL_ERRNO("vmcore", "/proc/vmcore");
    return;
  }
  if (read_headers(&core)) {
    for (unsigned i = 0; i < core.count; i++) {
      if (core.parts[i].p_type == PT_NOTE) read_part_with_notes(&core, &core.parts[i]);
    }
    struct dead_pages pages = check_dead_pages(&core);
    if (pages.wrong + pages.absent != 0) fail_dead_pages(&pages);
    report_vmcore(&core, &pages);
  }
  close(core.file);
}
