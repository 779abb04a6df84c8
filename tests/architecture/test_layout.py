"""Each plugin could leave for a distribution of its own, and each file fits in the head."""

from __future__ import annotations

import ast
import importlib.metadata

MOST_LINES_OF_A_FILE = 300
MOST_LINES_OF_A_FUNCTION = 40

# Path -> the reason why the file is longer. Empty at best.
LONGER_FILES = {
    "llamahome_core/hookspecs.py": "the one page on hooks, and each hook has its example",
    "llamahome_core/protocols.py": "the one page on what components do: mostly docstrings",
}

# "path:function" -> the reason why the function is longer. Empty at best.
LONGER_FUNCTIONS: dict[str, str] = {}


def test_installed_entry_points_match_pyproject(settings):
    """Entry points are read at installation: after a change, the checkout is installed again."""
    installed = importlib.metadata.distribution("llamahome").entry_points.select(group="llamahome")

    assert {e.name: e.value for e in installed} == settings["project"]["entry-points"]["llamahome"]


def test_installed_version_matches_pyproject(settings):
    """The version is written in one place."""
    assert importlib.metadata.version("llamahome") == settings["project"]["version"]


def test_every_plugin_is_registered_under_its_own_name(settings, plugin_folders):
    """A folder plugins/llamahome_x is the plugin x, and its module is llamahome_x.plugin."""
    declared = settings["project"]["entry-points"]["llamahome"]

    assert declared == {
        folder.name.removeprefix("llamahome_"): f"{folder.name}.plugin" for folder in plugin_folders
    }


def test_every_plugin_has_the_files_of_a_typed_plugin(plugin_folders):
    """Without py.typed, a type checker treats an installed package as untyped."""
    missing = [
        f"{folder.name}/{name}"
        for folder in plugin_folders
        for name in ("__init__.py", "plugin.py", "py.typed")
        if not (folder / name).is_file()
    ]

    assert not missing


def test_the_kernel_is_typed(root):
    """Plugin authors check their code against the kernel's types."""
    assert (root / "llamahome_core" / "py.typed").is_file()


def test_a_plugin_package_holds_a_docstring_only(plugin_folders):
    """Each start runs the __init__.py of each plugin, and would pay for what it does."""
    more = []
    for folder in plugin_folders:
        tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
        rest = [n for n in tree.body if not _is_future_import(n)]
        if len(rest) != 1 or not ast.get_docstring(tree):
            more.append(folder.name)

    assert not more


def test_a_file_fits_in_the_head(sources):
    """No file is longer than the limit, but for the exceptions that give a reason."""
    long = {s.name for s in sources if len(s.text.splitlines()) > MOST_LINES_OF_A_FILE}

    assert long == LONGER_FILES.keys()


def test_a_function_does_one_thing(sources):
    """No function is longer than the limit without its docstring, but for reasoned exceptions."""
    long = {
        f"{source.name}:{function.name}"
        for source in sources
        for function in ast.walk(source.tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        if _body_lines(function) > MOST_LINES_OF_A_FUNCTION
    }

    assert long == LONGER_FUNCTIONS.keys()


def _is_future_import(node):
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _body_lines(function):
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0
