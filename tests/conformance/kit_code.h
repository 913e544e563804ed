/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KIT_CODE_H
#define KIT_CODE_H

/*
 * L2 code, beside the test that runs it: L2 sees it at its link address.
 *     KIT_CODE(name, "outb %al, $0x10\n" KIT_AFTER(name) "hlt")
 * KIT_AFTER marks a place: name_after. Real-mode code is written behind .code16; its CS has its
 * start as the base, and names are addresses in it minus that. The alignment makes its selector one
 * with ring 0, which an emulated processor insists on.
 */
#define KIT_CODE(name, text)                                               \
    __asm__(".pushsection .l2.code, \"ax\"\n.balign 64\n" #name ":\n" text \
            "\n.code64\n.popsection");                                     \
    extern const char name[]

#define KIT_CODE_AFTER(name, text) \
    KIT_CODE(name, text);          \
    extern const char name##_after[]

#define KIT_AFTER(name) #name "_after:\n"

#endif
