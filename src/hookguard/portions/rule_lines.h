/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HOOKGUARD_PORTIONS_RULE_LINES_H
#define HOOKGUARD_PORTIONS_RULE_LINES_H

/* Where in a file of YARA rules a mistake is, for which libyara has no line or another one. */

/* Of the import of a module. 0: it was not found. */
int rule_line_of_import(const char *text, const char *module);

/* Of what a message of libyara's is about. line: what it said, which is where its parser stood: for
 * some, at the word behind, or at the rule's end. */
int rule_line_of_message(const char *text, const char *message, int line);

#endif
