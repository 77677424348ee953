"""Models on the Hugging Face Hub by their id: "org/name" for a repository, "org/name/file.gguf" for one of its files.

Files land in the cache of huggingface_hub (HF_HOME moves it) and are checked there like any other file.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from edgebit.errors import ModelError, UsageError
from edgebit.importers.base import printable

_PART = r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,95}"
_ID = re.compile(rf"({_PART}/{_PART})(?:/((?:{_PART}/)*{_PART}\.gguf))?")
PATTERNS = [
    "config.json",
    "generation_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "char_vocab.json",
]
"""What of a repository is downloaded."""


def hub_id(text: str) -> tuple[str, str | None] | None:
    """The repository, and the file of it, when `text` is an id of the Hub; else None."""
    found = _ID.fullmatch(text)
    return (found[1], found[2]) if found and ".." not in text else None


def download(text: str, revision: str | None = None) -> Path:
    """The folder or file on this machine of the model called `text`; raises UsageError without huggingface_hub,
    ModelError when the Hub does not give it."""
    parsed = hub_id(text)
    assert parsed is not None, text
    repository, file = parsed
    try:
        hub = importlib.import_module("huggingface_hub")
    except ImportError:
        raise UsageError(
            f"{text} is no file or folder here; to download it from the Hugging Face Hub, install huggingface_hub: "
            "pip install 'edgebit[hub]'"
        ) from None
    errors = importlib.import_module("huggingface_hub.errors")
    try:
        if file is not None:
            return Path(hub.hf_hub_download(repository, file, revision=revision))
        return Path(hub.snapshot_download(repository, revision=revision, allow_patterns=PATTERNS))
    except errors.GatedRepoError:
        raise ModelError(
            f"{text}: its owner wants you to accept terms first: do so on huggingface.co/{repository} and run hf auth login"
        ) from None
    except errors.RepositoryNotFoundError:
        raise ModelError(
            f"{text}: neither a file or folder here nor a public model on the Hugging Face Hub"
        ) from None
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, OSError, ValueError) as e:
        reason = printable(str(e).strip().splitlines()[0] if str(e).strip() else type(e).__name__)
        raise ModelError(f"{text}: is no file or folder here, and the Hub does not give it: {reason}") from e
