"""Nothing is pickled, and nothing is written but by the module that writes durably."""

from __future__ import annotations

import ast

PICKLING_MODULES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
PICKLING_CALLS = {"torch.load", "torch.save"}

OPENERS = {"fdopen", "memmap", "open", "open_memmap"}
WRITING_METHODS = {"NamedTemporaryFile", "mkstemp", "write_bytes", "write_text"}
WRITING_CALLS = {"os.replace", "os.rename", "os.write", "shutil.move", "shutil.copyfile"}

# Path -> the reason why it may write by itself.
MAY_WRITE = {"llamahome_core/files.py": "it is the module that writes durably"}


def test_nothing_is_pickled(sources):
    """A pickle runs code when it is read: tensors are safetensors, the rest is JSON or TOML."""
    found = [
        f"{source.name}:{node.lineno}"
        for source in sources
        for node in ast.walk(source.tree)
        if _imported(node) & PICKLING_MODULES or (isinstance(node, ast.Call) and _pickles(node))
    ]

    assert not found


def test_only_the_files_module_writes(sources):
    """One fault-injection harness covers every durable write, because one module does them all."""
    found = {
        source.name
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and _writes(node)
    }

    assert found == MAY_WRITE.keys()


def _imported(node):
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").partition(".")[0]}
    return set()


def _pickles(call):
    allows = any(k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in call.keywords)
    return allows or ast.unparse(call.func) in PICKLING_CALLS


def _writes(call):
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in OPENERS:
        # numpy maps a file for writing unless it is told otherwise.
        unsaid = name == "memmap" and not any(k.arg == "mode" for k in call.keywords)
        return unsaid or _opens_for_writing(call)
    return name in WRITING_METHODS or ast.unparse(call.func) in WRITING_CALLS


def _opens_for_writing(call):
    """Whether the call names a mode, or os.open flags, that let it write."""
    arguments = [*call.args, *(k.value for k in call.keywords if k.arg in {"mode", "flags"})]
    modes = [a.value for a in arguments if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    flags = "".join(ast.unparse(a) for a in arguments)
    return any(_is_writing_mode(mode) for mode in modes) or "O_WRONLY" in flags or "O_RDWR" in flags


def _is_writing_mode(text):
    return set(text) <= set("rwaxbt+") and bool(set(text) & set("wax+"))
