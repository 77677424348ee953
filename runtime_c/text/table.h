// SPDX-License-Identifier: Apache-2.0
// The tokenizer table, byte by byte (edgebit/decoder/text/table.py writes it). All numbers are u32, little
// endian.
//
//     0   magic "EBTX"      4  version    8  size of the table in bytes
//     12  kind              16 flags      20 vocab          24 unk    28 chat flags
//     32  sections: {offset, count} for each of EB_SECTION_*; offsets are multiples of 4, a count of 0 is
//     absent
//
// Strings and tokens are ranges of the blob. Scores, file names and training data are not in it.
#ifndef EDGEBIT_TEXT_TABLE_H
#define EDGEBIT_TEXT_TABLE_H

#include "text/eb_text.h"

#define EB_TABLE_MAGIC   0x58544245u
#define EB_TABLE_VERSION 1u
#define EB_TABLE_HEADER  32u

enum {
    EB_SECTION_BLOB,        // u8
    EB_SECTION_TOKEN_ENDS,  // u32[vocab + 1], ascending
    EB_SECTION_TOKEN_FLAGS, // u8[vocab]
    EB_SECTION_PAIR_STARTS, // u32[vocab + 1], ascending: pairs whose left token is i
    EB_SECTION_PAIRS,       // {right, rank, id}, for each left in ascending order of right
    EB_SECTION_CHARS,       // {code point, id}, ascending
    EB_SECTION_BYTES,       // u32[256]: ids of single bytes
    EB_SECTION_BY_BYTES,    // u32: ids in the order of their bytes
    EB_SECTION_STEPS,       // u32: pre-tokenizer steps, at most EB_MAX_STEPS
    EB_SECTION_ADDED,       // {id, at, length}, in the order of their bytes
    EB_SECTION_PREFIX,      // u32
    EB_SECTION_SUFFIX,      // u32
    EB_SECTION_EOS,         // u32
    EB_SECTION_STOPS,       // {EB_NO_TOKEN, at, length}
    EB_SECTION_ITEMS,       // {id or EB_NO_TOKEN, at, length}
    EB_SECTION_PARTS,       // u32[EB_CHAT_PARTS + 1], ascending
    EB_SECTION_SPECIAL,     // {id, at, length} of every added token
    EB_SECTIONS
};

// Flags of a table.
enum {
    EB_TABLE_NFC = 1u << 0,           // normalise to NFC first
    EB_TABLE_WHOLE_WORDS = 1u << 1,   // a word that is a token is that token, whatever the merges say
    EB_TABLE_SPACE_FIRST = 1u << 2,   // byte level: put a space before text that does not start with one
    EB_TABLE_PREPEND = 1u << 3,       // sentencepiece: put U+2581 before the text
    EB_TABLE_PREPEND_START = 1u << 4, // ... only where the sequence starts
    EB_TABLE_PREPEND_ONCE = 1u << 5,  // ... only when the text does not start with one (or a space)
    EB_TABLE_SPACES = 1u << 6,        // sentencepiece: a space is U+2581
    EB_TABLE_SPLIT = 1u << 7,         // sentencepiece: words start at U+2581
    EB_TABLE_FUSE_UNK = 1u << 8,      // unknown characters in a row are one unk
    EB_TABLE_ADDED_AFTER = 1u << 9,   // added tokens are found after normalisation
    EB_TABLE_STRIP = 1u << 10,        // decoding takes one space off the start of the text
    EB_TABLE_ALL_FLAGS = (1u << 11) - 1u
};

// Flags of a token.
enum {
    EB_TOKEN_SPECIAL = 1, // never comes from text
    EB_TOKEN_BYTE = 2,    // sentencepiece: one byte of a character
    EB_TOKEN_MARKUP = 4,  // an added token such as <think>: comes from text only with EB_TEXT_MARKUP
    EB_TOKEN_ABSENT = 8   // the model has a row for it, the tokenizer no token
};

// A pre-tokenizer step is one regular expression of the families GPT-2, Llama 3 and Qwen, as bits.
#define EB_MAX_STEPS 4u
enum {
    EB_STEP_CONTRACTIONS = 1u << 0,     // 's|'t|'re|'ve|'m|'ll|'d
    EB_STEP_CONTRACTIONS_ANY = 1u << 1, // the same in any case
    EB_STEP_SPACE_LETTERS = 1u << 2,    // " ?\p{L}+"
    EB_STEP_OTHER_LETTERS = 1u << 3,    // "[^\r\n\p{L}\p{N}]?\p{L}+"
    EB_STEP_SPACE_NUMBERS = 1u << 4,    // " ?\p{N}+"
    EB_STEP_NUMBERS = 1u << 5,          // "\p{N}{1,k}", k in the next field, 0: any
    EB_STEP_NUMBERS_AT = 6,             // shift of k, two bits
    EB_STEP_OTHERS_LINES = 1u << 8,     // " ?[^\s\p{L}\p{N}]+" takes "[\r\n]*" along
    EB_STEP_LINES = 1u << 9,            // "\s*[\r\n]+"
    EB_STEP_DIGITS = 1u << 10,          // not a regular expression: each number alone, all else together
    EB_STEP_ALL = (1u << 11) - 1u
};

#endif
