r"""Regular expressions of pre-tokenizers that the C runtime has a matcher for.

An expression is taken apart at its alternatives. Each alternative of the families GPT-2, Llama 3 and Qwen is known in
the spellings that are in use, and sets bits of a step (EB_STEP_* in runtime_c/text/table.h). They must come in the
order contractions, letters, numbers, other characters, line ends, white space: then, and only then, the matcher
agrees with the expression.
"""

from __future__ import annotations

CONTRACTIONS, CONTRACTIONS_ANY, SPACE_LETTERS, OTHER_LETTERS, SPACE_NUMBERS, NUMBERS = (
    1 << k for k in range(6)
)
NUMBERS_AT = 6
OTHERS_LINES, LINES, DIGITS = 1 << 8, 1 << 9, 1 << 10

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""What the ByteLevel pre-tokenizer uses itself."""

_PREFIXES: tuple[tuple[str, int], ...] = (
    ("'s|'t|'re|'ve|'m|'ll|'d|", CONTRACTIONS),
    ("'(?:[sdmt]|ll|ve|re)|", CONTRACTIONS),
    ("(?i:'s|'t|'re|'ve|'m|'ll|'d)|", CONTRACTIONS_ANY),
    ("'(?i:[sdmt]|ll|ve|re)|", CONTRACTIONS_ANY),
    ("", 0),
)
# Each stage takes exactly one of its alternatives; (text, bits).
_STAGES: tuple[tuple[tuple[str, int], ...], ...] = (
    (
        (r" ?\p{L}+|", SPACE_LETTERS),
        (r"[^\r\n\p{L}\p{N}]?\p{L}+|", OTHER_LETTERS),
        (r"[^\r\n\p{L}\p{N}]?+\p{L}+|", OTHER_LETTERS),
    ),
    (
        (r" ?\p{N}+|", SPACE_NUMBERS),
        (r"\p{N}{1,3}|", NUMBERS | 3 << NUMBERS_AT),
        (r"\p{N}{1,2}|", NUMBERS | 2 << NUMBERS_AT),
        (r"\p{N}+|", NUMBERS),
        (r"\p{N}|", NUMBERS | 1 << NUMBERS_AT),
    ),
    (
        (r" ?[^\s\p{L}\p{N}]+[\r\n]*|", OTHERS_LINES),
        (r" ?[^\s\p{L}\p{N}]++[\r\n]*|", OTHERS_LINES),
        (r" ?[^\s\p{L}\p{N}]+|", 0),
    ),
    ((r"\s*[\r\n]+|", LINES), (r"\s*[\r\n]|", LINES), ("", 0)),
    ((r"\s+(?!\S)|\s+", 0),),
)


def step_of(expression: str) -> int | None:
    """The bits of a step that splits as `expression` does, or None when it is not a known one."""
    for prefix, bits in _PREFIXES:
        if expression.startswith(prefix):
            rest: str | None = expression.removeprefix(prefix)
            for stage in _STAGES:
                found = next(
                    ((text, b) for text, b in stage if rest is not None and rest.startswith(text)), None
                )
                if found is None:
                    rest = None
                    break
                assert rest is not None
                rest, bits = rest.removeprefix(found[0]), bits | found[1]
            if rest == "":
                return bits
    return None
