"""Renders chat templates; run as a program of its own, with limits, because a template is code from a model's files.

Standard input: {"template": text, "variables": {...}, "chats": [[messages, add_generation_prompt], ...]}.
Standard output: {"texts": [text or null, ...], "errors": [null or reason, ...]}. The names a template finds are
those of Hugging Face's renderer, but for the date: an export must not depend on the day it is made.
"""

from __future__ import annotations

import json
import sys
from typing import Any

CPU_SECONDS = 5
MEMORY_BYTES = 1 << 30
MAX_TEXT = 1 << 20


def limit_resources() -> None:
    """Bound time and memory where the system knows how."""
    try:
        import resource
    except ImportError:  # Windows; the caller's time limit is left
        return
    for what, value in ((resource.RLIMIT_CPU, CPU_SECONDS), (resource.RLIMIT_AS, MEMORY_BYTES)):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (value if hard < 0 else min(value, hard), hard))


class TemplateRefusal(Exception):
    """What a template's own raise_exception() says."""


def render(job: dict[str, Any]) -> dict[str, list[str | None]]:
    """Every chat of a job."""
    import jinja2
    import jinja2.ext
    import jinja2.sandbox

    def refuse(message: object) -> None:
        raise TemplateRefusal(str(message))

    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = lambda value, indent=None: json.dumps(
        value, ensure_ascii=False, indent=indent
    )
    environment.globals["raise_exception"] = refuse
    text: str | None
    error: str | None
    texts: list[str | None] = []
    errors: list[str | None] = []
    for messages, generate in job["chats"]:
        text = error = None
        try:
            made = environment.from_string(job["template"]).render(
                **job["variables"],
                messages=messages,
                tools=None,
                documents=None,
                add_generation_prompt=generate,
            )
            if len(made) > MAX_TEXT:
                error = f"it makes {len(made)} characters of a short chat"
            else:
                text = made
        except RecursionError:
            error = "it recurses too deeply"
        except MemoryError:
            error = "it takes more than 1 GB of memory"
        except Exception as e:  # whatever a template does wrong is a reason, not a failure of this program
            error = f"{e}" or type(e).__name__
        texts.append(text)
        errors.append(error)
    return {"texts": texts, "errors": errors}


if __name__ == "__main__":
    limit_resources()
    json.dump(render(json.load(sys.stdin)), sys.stdout)
