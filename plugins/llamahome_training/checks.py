"""What ``llamahome doctor`` says of torch."""

from __future__ import annotations

from collections.abc import Iterator

from llamahome_core import Context

Finding = tuple[str, str]


def devices(_: Context) -> Iterator[Finding]:
    """The version, the devices, and whether bf16 is worth using on this CPU."""
    try:
        import torch
    except ImportError:
        yield "problem", "torch is not installed; pip install 'llamahome[train]'"
        return
    threads = torch.get_num_threads()
    yield "ok", f"{torch.__version__}, {threads} thread{'s' if threads > 1 else ''}"
    if not torch.cuda.is_available():
        yield "info", "no CUDA device: training runs on the CPU"
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        name = torch.cuda.get_device_name(index)
        yield "ok", f"cuda:{index} {name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
