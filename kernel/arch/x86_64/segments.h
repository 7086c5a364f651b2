// SPDX-License-Identifier: BSD-3-Clause
#pragma once

// Read by C++ and assembly: the processor state that every way into a kernel sets up anew (Intel
// SDM volume 3, 2.5, 3.4.5 and 4.1; AMD APM volume 2, 3.1.7).

// PG WP NE ET MP PE: the kernel's own. The relocator and the next kernel start without WP and MP.
#define CR0_KERNEL 0x80010033
#define CR0_RELOCATOR 0x80000031
#define CR0_ENTER_LONG_MODE 0x80000001
#define CR0_PG_BIT 31
#define CR4_PAE 0x20
// LA57, which long mode cannot change, and PAE.
#define CR4_KEEP 0x1020

#define MSR_EFER 0xc0000080
#define MSR_FS_BASE 0xc0000100
#define EFER_LME 0x100
#define EFER_KEEP 0x500 /* LMA LME */
#define EFER_NXE_BIT 11
#define CPUID_NX_BIT 20

// Selectors as Linux's boot protocol wants them. Flat segments: execute and read, 64-bit; read and
// write. Both are accessed already, so that loading them writes nothing.
#define CODE32_SELECTOR 0x08
#define CODE_SELECTOR 0x10
#define DATA_SELECTOR 0x18
#define TSS_SELECTOR 0x20
#define CODE32_DESCRIPTOR 0x00cf9b000000ffff
#define CODE_DESCRIPTOR 0x00af9b000000ffff
#define DATA_DESCRIPTOR 0x00cf93000000ffff
// The null descriptor, an unused one, code and data, then the TSS, which takes two.
#define GDT_WORDS 6
