/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_X86_H
#define VMM_X86_H

/* Bits of the x86 architecture that the root looks at (SDM volume 3, 2.3, 2.5, 3.4.5). */

#define CR0_PE       (1ULL << 0)
#define CR0_TS       (1ULL << 3)
#define CR0_ET       (1ULL << 4)
#define CR0_WP       (1ULL << 16)
#define CR0_NW       (1ULL << 29)
#define CR0_CD       (1ULL << 30)
#define CR0_PG       (1ULL << 31)
#define CR0_RESERVED (~0xe005003fULL)

#define CR4_PAE      (1ULL << 5)
/* Not: VMXE, SMXE, LA57, PKE and whatever came later. */
#define CR4_RESERVED    (~0x370fffULL)

#define EFER_SCE        (1ULL << 0)
#define EFER_LME        (1ULL << 8)
#define EFER_LMA        (1ULL << 10)
#define EFER_NXE        (1ULL << 11)
#define EFER_RESERVED   (~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))

#define RFLAGS_FIXED    (1ULL << 1)
#define RFLAGS_TF       (1ULL << 8)
#define RFLAGS_IF       (1ULL << 9)
#define RFLAGS_DF       (1ULL << 10)
#define RFLAGS_VM       (1ULL << 17)
#define RFLAGS_RESERVED (~0x3f7fd7ULL)

/* Access rights as in the VMCS (SDM table 25-2). */
#define RIGHTS_TYPE_MASK        0xfU
#define RIGHTS_S                (1U << 4)
#define RIGHTS_DPL_SHIFT        5
#define RIGHTS_P                (1U << 7)
#define RIGHTS_AVL_SHIFT        12
#define RIGHTS_L                (1U << 13)
#define RIGHTS_DB               (1U << 14)
#define RIGHTS_G                (1U << 15)
#define RIGHTS_UNUSABLE         (1U << 16)
#define RIGHTS_RESERVED         0xfffe0f00U
#define RIGHTS_DPL(rights)      (((rights) >> RIGHTS_DPL_SHIFT) & 3U)

#define INTERRUPTIBILITY_STI    (1U << 0)
#define INTERRUPTIBILITY_MOV_SS (1U << 1)
#define INTERRUPTIBILITY_NMI    (1U << 3)

#endif
