"""Nothing is pickled, and nothing is written but by the module that writes durably."""

from __future__ import annotations

import ast

PICKLING_MODULES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
PICKLING_CALLS = {"torch.load", "torch.save"}

OPENERS = {"fdopen", "memmap", "open", "open_memmap"}
WRITING_METHODS = {"NamedTemporaryFile", "mkstemp", "write_bytes", "write_text"}
WRITING_CALLS = {"os.replace", "os.rename", "os.write", "shutil.move", "shutil.copyfile"}

DURABLE = "it belongs to the package that writes durably"
SEALED = "it writes into a folder of files.new_folder, which hashes, syncs and publishes the whole"
TESTS = "it writes into the temporary folder of a test, as only tests do"
# Path -> the reason why it may write by itself.
MAY_WRITE = {
    "llamahome_core/cli/endings.py": "the report of a crash goes to the temporary folder",
    "llamahome_core/cli/output.py": "a closed stream is pointed at the null device",
    "llamahome_core/files/atomic.py": DURABLE,
    "llamahome_core/files/folders.py": DURABLE,
    "llamahome_core/files/lines.py": DURABLE,
    "llamahome_core/files/locks.py": DURABLE,
    "llamahome_core/monitor_process.py": "a monitor's log may lose its end",
    "llamahome_core/monitoring.py": "a monitor's log may lose its end",
    "llamahome_core/terminal.py": "after a broken pipe, the stream is pointed at the null device",
    "llamahome_core/testing/fixtures.py": TESTS,
    "llamahome_core/testing/processes.py": "a child process says how it ended through a pipe",
    "llamahome_core/testing/storage.py": TESTS,
    "llamahome_core/trial.py": "a child process says how far it got through a pipe",
    "plugins/llamahome_data/arrays.py": SEALED,
    "plugins/llamahome_models/children.py": "the output of a child is read once and thrown away",
    "plugins/llamahome_models/gguf_import.py": SEALED,
    "plugins/llamahome_models/gguf_tokenizer.py": SEALED,
    "plugins/llamahome_models/layout.py": SEALED,
    "plugins/llamahome_models/pypi.py": "it unpacks into a scratch folder; what is kept is sealed",
}


def test_nothing_is_pickled(sources):
    """A pickle runs code when it is read: tensors are safetensors, the rest is JSON or TOML."""
    found = [
        f"{source.name}:{node.lineno}"
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Import | ast.ImportFrom | ast.Call) and _pickles(node)
    ]

    assert not found


def test_only_the_files_module_writes(sources):
    """One fault-injection harness covers every durable write, because one package does them all."""
    found = {
        source.name
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and _writes(node)
    }

    assert found == MAY_WRITE.keys()


def _pickles(node):
    if isinstance(node, ast.Import):
        return any(alias.name.partition(".")[0] in PICKLING_MODULES for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").partition(".")[0] in PICKLING_MODULES
    allows = any(k.arg == "allow_pickle" and ast.unparse(k.value) != "False" for k in node.keywords)
    return allows or ast.unparse(node.func) in PICKLING_CALLS


def _writes(call):
    called = ast.unparse(call.func)
    owner, _, name = called.rpartition(".")
    if name in OPENERS:
        # numpy maps a file for writing unless it is told otherwise.
        unsaid = name == "memmap" and not any(k.arg == "mode" for k in call.keywords)
        return unsaid or _opens_for_writing(call)
    # files.write_text is the function of the module that writes durably.
    return (name in WRITING_METHODS and owner not in {"", "files"}) or called in WRITING_CALLS


def _opens_for_writing(call):
    """Whether the call names a mode, or os.open flags, that let it write."""
    arguments = [*call.args, *(k.value for k in call.keywords if k.arg in {"mode", "flags"})]
    modes = [a.value for a in arguments if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    flags = "".join(ast.unparse(a) for a in arguments)
    return any(_is_writing_mode(mode) for mode in modes) or "O_WRONLY" in flags or "O_RDWR" in flags


def _is_writing_mode(text):
    return set(text) <= set("rwaxbt+") and bool(set(text) & set("wax+"))
