"""edgebit verify."""

from __future__ import annotations

from pathlib import Path

from edgebit.bench.folder import newest_export
from edgebit.bench.language_device import prove_on_device
from edgebit.bench.language_model import is_language_model, open_language_model, prove
from edgebit.bench.session import connect
from edgebit.bench.vectors import canonical_vector, load_vectors
from edgebit.bench.verify import expect, golden, verify
from edgebit.cli import _options as o
from edgebit.cli._output import JsonFlag, Output
from edgebit.errors import MismatchError, UsageError


def command(
    path: o.Dir = None,
    board: o.BoardName = None,
    emulate: o.Emulate = None,
    port: o.Port = None,
    host: o.Host = None,
    vectors: o.Vectors = None,
    limit: o.Limit = None,
    toolchain: o.Tool = None,
    json: JsonFlag = False,
) -> None:
    """Prove that the board computes what the host computed, byte for byte.

    Checks the CRC of every layer's weights on the device, then runs the export's golden vectors (or
    --vectors) and compares every layer's output. Exits 9 and names the first layer that differs.
    """
    output = Output(json)
    named = path or newest_export(Path("build"), board)
    if is_language_model(named):
        _language_model(output, named, board, emulate, port, host, toolchain)
        return
    if host is not None and port is not None:
        raise UsageError("--host and --port exclude each other")
    port = port if host is None else f"ssh://{host.removeprefix('ssh://')}"
    folder = o.find_export(path, board)
    with output.progress() as bar:
        task = bar.add_task(f"running the reference for {folder.path.name}", total=None)
        if vectors is None:
            cases = golden(folder, limit)
        else:
            source, _ = load_vectors(vectors, folder.graph, limit)
            cases = list(expect(folder.graph, (canonical_vector(folder.graph, v) for v in source)))
        bar.update(task, description="building")
        with connect(folder, board=board, emulate=emulate, port=port, toolchain=toolchain) as device:
            bar.update(task, description=f"verifying on {device.title}", total=len(cases), completed=0)
            result = verify(folder, device.link, cases, lambda n, _: bar.update(task, completed=n))
            where = device.title
    if not result.bit_exact:
        raise _mismatch(folder.name, where, result.to_dict())
    output.say(
        f" on {result.vectors} vector{'s' * (result.vectors != 1)}: "
        f"{folder.name} on {where}, {len(folder.graph.nodes)} layers each",
        head="bit-exact",
        good=True,
    )
    if result.top1_agreement is not None:
        worst = result.max_abs_error_vs_source
        output.say(
            f"against the source model: largest difference {'not finite' if worst is None else f'{worst:.3g}'}, "
            f"top-1 agreement {result.top1_agreement:.1%}"
        )
    of = "" if result.certificate == folder.manifest["certificate"] else f" of these {result.vectors} vectors"
    output.say(f"certificate{of} {result.certificate}")
    output.result(result.to_dict())


def _language_model(
    output: Output,
    path: Path,
    board: str | None,
    emulate: str | None,
    port: str | None,
    host: str | None,
    toolchain: str | None,
) -> None:
    """The same for a language model: its golden prompts, with one thread and, on Linux, with several."""
    folder = open_language_model(path)
    with output.progress() as bar:
        bar.add_task(f"verifying {folder.name}", total=None)
        if folder.board.core.is_cortex_m:
            folder.microcontroller(board)
            if host is not None:
                raise UsageError(f"{folder.path} is for the {folder.board.title}: --host is for Linux boards")
            proof = prove_on_device(folder, emulate=emulate, port=port, toolchain=toolchain)
            threads = ""
        else:
            host = o.linux_host(host, port)
            proof = prove(folder, emulate=emulate, toolchain=toolchain, host=host)
            threads = f", {', '.join(map(str, proof.threads))} threads"
    output.say(
        f" on {proof.runs} prompts: {folder.name} on {proof.where}, every layer, logit and token{threads}",
        head="bit-exact",
        good=True,
    )
    output.say(f"certificate {proof.certificate}")
    output.result(
        {
            "bit_exact": True,
            "name": folder.name,
            "where": proof.where,
            "threads": list(proof.threads),
            "runs": proof.runs,
            "certificate": proof.certificate,
        }
    )


def _mismatch(name: str, where: str, details: dict[str, object]) -> MismatchError:
    first = details["first_mismatch"]
    assert isinstance(first, dict)
    if first["kind"] == "link":
        text = f"output {first['output']!r} read back differs although its layer hash agrees; the link corrupts data"
    else:
        text = (
            f"first at vector {first['vector']}, layer {first['layer']} ({first['name']}, kernel {first['kernel']}); "
            "run the kernel tester for that kernel, or report it with the export folder"
        )
    return MismatchError(f"{name} on {where} differs from the reference: {text}", details=details)
