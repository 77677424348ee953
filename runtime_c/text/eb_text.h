// SPDX-License-Identifier: Apache-2.0
// Text in and out of a language model: tokenizer, streaming detokenizer, stop strings, chat.
//
// A tokenizer is one constant table (made by edgebit/decoder/text, layout in table.h) that lies in flash or
// in a memory-mapped file, 4-byte aligned, little endian. eb_tokenizer_open checks every offset, index and id
// in it, so that a damaged or hostile table gives EB_TEXT_TABLE and nothing else. Nothing here allocates,
// recurses or keeps state outside the caller's structures.
//
//     eb_tokenizer t;
//     eb_tokenizer_open(table, bytes, &t);
//     eb_tokenizer_encode(&t, text, n, EB_TEXT_START, ids, cap, scratch, scratch_bytes, &count);
//     eb_detokenizer d;
//     eb_detokenizer_init(&d, &t, 0);
//     int32_t wrote = eb_detokenizer_push(&d, id, out, sizeof out);   // whole UTF-8 characters
//     wrote = eb_detokenizer_flush(&d, out, sizeof out);
//
// Text is UTF-8. An invalid sequence in text to encode counts as one U+FFFD, as Python's errors="replace" has
// it. Functions that return int32_t give a count >= 0 or a negative eb_text_status.
#ifndef EDGEBIT_EB_TEXT_H
#define EDGEBIT_EB_TEXT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    EB_TEXT_OK = 0,
    EB_TEXT_TABLE = -20, // the table is damaged, of another version, or needs a part that is not compiled in
    EB_TEXT_SCRATCH = -21,   // the scratch memory is too small (or not 4-byte aligned) for this text
    EB_TEXT_IDS = -22,       // there is no room for more token ids
    EB_TEXT_CHARACTER = -23, // the vocabulary lacks a character of the text
    EB_TEXT_ROOM = -24,      // the output buffer is too small; nothing was consumed
    EB_TEXT_ARGUMENT = -25   // a null pointer, or an id that the model does not have
} eb_text_status;

#define EB_NO_TOKEN 0xffffffffu

// How the vocabulary makes tokens of text.
enum { EB_TEXT_CHARS = 0, EB_TEXT_BYTE_BPE = 1, EB_TEXT_SENTENCEPIECE = 2 };

typedef struct {
    uint32_t right, rank, id; // the pair (left, right) becomes id; the lowest rank is merged first
} eb_text_pair;

typedef struct {
    uint32_t code_point, id;
} eb_text_char;

typedef struct {
    uint32_t id, at, length; // bytes of the blob
} eb_text_string;

typedef struct {
    uint32_t id;         // a token, or EB_NO_TOKEN: text of the blob
    uint32_t at, length; // bytes of the blob, when it is text
} eb_chat_item;

// An open table. Read what you need, change nothing.
typedef struct {
    uint32_t kind;  // EB_TEXT_CHARS, ...
    uint32_t flags; // table.h
    uint32_t vocab; // ids are 0..vocab - 1
    uint32_t unk;   // or EB_NO_TOKEN
    uint32_t max_token_bytes;
    uint32_t n_pairs, n_chars, n_by_bytes, n_steps, n_added, n_special;
    uint32_t n_prefix, n_suffix, n_eos, n_stops, n_items;
    const uint8_t *blob;
    const uint32_t *token_ends; // [vocab + 1]: token i is blob[token_ends[i] .. token_ends[i + 1]]
    const uint8_t *token_flags; // [vocab]
    const uint32_t *pair_starts;
    const eb_text_pair *pairs;
    const eb_text_char *chars;
    const uint32_t *bytes;         // [256] or null
    const uint32_t *by_bytes;      // ids in the order of their bytes
    const uint32_t *steps;         // pre-tokenizer
    const eb_text_string *added;   // tokens that plain text may contain, in the order of their bytes
    const eb_text_string *special; // every added token, for eb_tokenizer_special
    const uint32_t *prefix;        // ids put before a prompt that is not a chat (beginning of sequence)
    const uint32_t *suffix;        // ids put after it
    const uint32_t *eos;           // ids that end the generation
    const eb_text_string *stops;   // strings that end the generation
    const eb_chat_item *items;     // chat template
    const uint32_t *parts; // [EB_CHAT_PARTS + 1] starts in items, or null: the model has no chat template
    uint32_t chat_flags;
    uint32_t added_first[8]; // a bit for every byte that starts an added token
} eb_tokenizer;

// Checks a table of `bytes` bytes and sets *t to point into it. The time is linear in the size of the table.
int32_t eb_tokenizer_open(const void *table, size_t bytes, eb_tokenizer *t);

// The scratch memory that is enough for any text of `bytes` bytes. Valid text of the byte-level kind needs
// only 24 bytes for each byte of its longest word; the bound is for invalid UTF-8 and text without a space.
size_t eb_tokenizer_scratch(const eb_tokenizer *t, size_t bytes);

enum {
    EB_TEXT_START = 1,  // the text starts the sequence: nothing, not even a special token, comes before it
    EB_TEXT_MARKUP = 2, // also find added tokens that look like markup (<think>); never special ones
    EB_TEXT_DROP_UNKNOWN = 4 // leave out characters that the vocabulary lacks, instead of EB_TEXT_CHARACTER
};

// Encodes text. Nothing in the text becomes a special token, and no token is added. *count: ids written, also
// on EB_TEXT_IDS. With EB_TEXT_CHARACTER, *count is the number of ids before the character. Time O(n log n).
int32_t eb_tokenizer_encode(const eb_tokenizer *t, const char *text, size_t n, uint32_t flags, uint32_t *ids,
                            size_t cap, void *scratch, size_t scratch_bytes, size_t *count);

// The id of a special or added token by its name ("<|eot_id|>"), or EB_NO_TOKEN. The explicit way to a
// special token.
uint32_t eb_tokenizer_special(const eb_tokenizer *t, const char *name, size_t n);

// Whether a token ends the generation.
int eb_tokenizer_is_eos(const eb_tokenizer *t, uint32_t id);

// ---- tokens to text ----

enum {
    EB_DETOKENIZE_SPECIAL = 1, // special tokens are shown by name, otherwise they are left out
    EB_DETOKENIZE_CONTINUE =
        2 // the text goes on: keep the space that the vocabulary puts before the first word
};

typedef struct {
    const eb_tokenizer *tokenizer;
    uint32_t flags;
    uint32_t held; // bytes of a character that is not whole yet
    uint8_t bytes[4];
    uint8_t started;
} eb_detokenizer;

void eb_detokenizer_init(eb_detokenizer *d, const eb_tokenizer *t, uint32_t flags);

// The bytes that `out` must have for any push or flush: 3 * (max_token_bytes + 3).
size_t eb_detokenizer_room(const eb_tokenizer *t);

// Text that token `id` completes: whole characters, U+FFFD for bytes that are none. Ids without a token give
// none. Byte-level: one U+FFFD for each maximal invalid prefix, as the tokenizers library has it;
// sentencepiece byte tokens: one for each byte, as the sentencepiece library has it.
int32_t eb_detokenizer_push(eb_detokenizer *d, uint32_t id, char *out, size_t cap);

// What is held, as U+FFFD; afterwards the detokenizer goes on as if nothing had been held.
int32_t eb_detokenizer_flush(eb_detokenizer *d, char *out, size_t cap);

// ---- stop strings ----

typedef struct {
    const char *text;
    uint32_t length;
    uint32_t matched;      // how much of it the text so far ends with
    const uint16_t *fails; // filled by eb_stop_init
} eb_stop_string;

typedef struct {
    eb_stop_string *strings;
    uint32_t count;
    uint32_t holder; // which string's beginning is held back
    uint32_t held;   // how much of it
    uint32_t stopped;
} eb_stopper;

// strings[i].text and .length are set by the caller, 1..65535 bytes each; `fails` has room for the sum of the
// lengths.
int32_t eb_stop_init(eb_stopper *s, eb_stop_string *strings, uint32_t count, uint16_t *fails,
                     size_t fails_cap);

// Takes n bytes of text and writes those that cannot belong to a stop string any more: at most n + the
// longest stop. At a stop string *stopped is set, the text before it has been written, and what comes after
// it is ignored.
int32_t eb_stop_push(eb_stopper *s, const char *text, size_t n, char *out, size_t cap, int *stopped);

// The bytes still held back, at the end of the text.
int32_t eb_stop_flush(eb_stopper *s, char *out, size_t cap);

// ---- chat ----

// The parts of a chat template. A conversation is
//     [START, or SYSTEM text SYSTEM_END] text ANSWER answer NEXT text ANSWER answer NEXT ...
// where REPLY takes the place of ANSWER before an answer that is already known (they may differ).
enum {
    EB_CHAT_START = 0,      // before the first user text, without a system text
    EB_CHAT_SYSTEM = 1,     // before the system text
    EB_CHAT_SYSTEM_END = 2, // between it and the first user text
    EB_CHAT_ANSWER = 3,     // after a user text: here the model starts to write
    EB_CHAT_REPLY = 4,      // after a user text, before a known answer
    EB_CHAT_NEXT = 5,       // after an answer, before the next user text
    EB_CHAT_PARTS = 6
};
// Bits of chat_flags.
enum {
    EB_CHAT_HAS_SYSTEM = 1,
    EB_CHAT_TRIM_SYSTEM = 2, // two bits each: white space is removed at the left, at the right
    EB_CHAT_TRIM_USER = 8,
    EB_CHAT_TRIM_ANSWER = 32,
    EB_CHAT_TRIM_FIRST = 128 // for the user text right after a system text
};

// A prompt being put together. Text is gathered until a special token ends it, and only then encoded, so that
// words and merges cross the seam between template and text as they do in the library.
typedef struct {
    const eb_tokenizer *tokenizer;
    uint32_t *ids;
    size_t cap, count;
    char *text;
    size_t text_cap, text_bytes;
    void *scratch;
    size_t scratch_bytes;
    uint32_t flags; // of eb_tokenizer_encode; EB_TEXT_START is taken off when something has been encoded
} eb_prompt;

// For a prompt that is not a chat: adds the tokens that start a sequence, before the first text.
int32_t eb_prompt_prefix(eb_prompt *p);
// Adds a part of the chat template. EB_TEXT_ARGUMENT when the model has none (or no system part).
int32_t eb_prompt_part(eb_prompt *p, uint32_t part);
// Adds text of a role: trim is EB_CHAT_TRIM_SYSTEM, _FIRST, _USER, _ANSWER, or 0 for a prompt that is not a
// chat.
int32_t eb_prompt_text(eb_prompt *p, const char *text, size_t n, uint32_t trim);
// How many bytes of a role's text the template shows: n, or fewer when it trims white space.
size_t eb_prompt_shown(const eb_tokenizer *t, const char *text, size_t n, uint32_t trim);
// Adds one token, special or not.
int32_t eb_prompt_token(eb_prompt *p, uint32_t id);
// Encodes the text that is still gathered. ids[0 .. count] is the prompt.
int32_t eb_prompt_end(eb_prompt *p);

#ifdef __cplusplus
}
#endif

#endif
