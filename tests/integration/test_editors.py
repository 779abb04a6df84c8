"""What an editor shows of recipes and settings: two TOML servers and a JSON validator, for real."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from llamahome_core.schema import SCHEMAS

HERE = Path(__file__).parent
BASES = runpy.run_path(str(HERE / "wrong_recipes.py"))["BASES"]
TYPOS = tomllib.loads((HERE / "typos.toml").read_text(encoding="utf-8"))
FILES = {
    "recipe": ("recipe.toml", "recipe.yaml", "recipe.json"),
    "settings": (".config/llamahome.toml", ".config/training_config.yaml", "user/config.toml"),
    "models": (".config/models.json",),
}
CASES = [
    (form, place, text, key)
    for form, places in FILES.items()
    for place in places
    for text, key, _ in TYPOS[place]["typos"]
]
# Which plugins are installed may change, and a weaker layer may have said [adapter] use = "lora".
NOT_EXPRESSIBLE = {"plugins.enable.0", "plugins.block.1", "adapter.rank"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, with_acme: Any) -> Path:
    """A folder with the schemas, of the built-in plugins and the third party's."""
    made: Path = tmp_path_factory.mktemp("editor")
    catalog = with_acme(made).catalog
    for form, make in SCHEMAS.items():
        (made / f"{form}.schema.json").write_text(json.dumps(make(catalog)), encoding="utf-8")
    return made


def tool(name: str) -> str:
    """The program *name* of the test dependencies."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        if "editor" in os.environ.get("LLAMAHOME_REQUIRE", ""):
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return found


def taplo(schema: Path | None, *paths: Path) -> set[Path]:
    """Which of *paths* taplo refuses; it is asked of each, as it tells of many in any order."""
    words = [tool("taplo"), "lint", "--no-auto-config", "--colors", "never"]
    words += ["--schema", schema.as_uri()] if schema else []
    refused = set()
    for path in paths:
        done = subprocess.run(
            [*words, str(path)], capture_output=True, text=True, check=False, cwd=path.parent
        )
        if done.returncode:
            assert "error: " in done.stderr  # what it says last may be lost
            refused.add(path)
    return refused


def read(text: str, place: str) -> Any:
    """*text* as plain values."""
    text = text.replace("§", BASES.get(Path(place).suffix[1:], ""))
    readers: dict[str, Any] = {".toml": tomllib.loads, ".yaml": yaml.safe_load, ".json": json.loads}
    return readers[Path(place).suffix](text)


def test_the_schemas_are_schemas(folder: Path) -> None:
    for form in SCHEMAS:
        Draft7Validator.check_schema(json.loads((folder / f"{form}.schema.json").read_text()))


def test_taplo_accepts_every_recipe_of_ours(folder: Path, tmp_path: Path, with_acme: Any) -> None:
    """Those of examples/, the packaged one, and what a run writes down as its whole recipe."""
    from importlib.resources import files

    paths = [HERE.parents[1] / "examples" / "recipes", files("llamahome_quickstart")]
    recipes = [path for where in paths for path in Path(str(where)).glob("*.toml")]
    kernel = with_acme(tmp_path)
    whole = tmp_path / "resolved.toml"
    whole.write_text(kernel.plan(recipes[0]).resolved_toml(), encoding="utf-8")

    assert len(recipes) >= 4
    assert taplo(folder / "recipe.schema.json", *recipes, whole) == set()


def test_taplo_accepts_the_settings_that_init_writes(
    folder: Path, tmp_path: Path, llamahome: Any
) -> None:
    """As they are, and with each line that is commented out."""
    llamahome("init", str(tmp_path / "work"), cwd=tmp_path)
    settings = tmp_path / "work" / ".config" / "llamahome.toml"
    uncommented = tmp_path / "all.toml"
    uncommented.write_text(
        re.sub(r"^# (?=\[|\w+ = )", "", settings.read_text(), flags=re.MULTILINE)
    )

    assert "offline" in tomllib.loads(uncommented.read_text())["network"]
    assert taplo(folder / "settings.schema.json", settings, uncommented) == set()


@pytest.mark.parametrize(("form", "place", "text", "key"), CASES)
def test_the_schema_refuses_each_typing_mistake_in_a_file(
    form: str, place: str, text: str, key: str, folder: Path
) -> None:
    schema = json.loads((folder / f"{form}.schema.json").read_text())

    errors = list(Draft7Validator(schema).iter_errors(read(text, place)))

    assert bool(errors) == (key not in NOT_EXPRESSIBLE)


def test_taplo_refuses_what_the_json_validator_refuses(folder: Path, tmp_path: Path) -> None:
    for form in ("recipe", "settings"):
        paths = {}
        for number, (_, place, text, key) in enumerate(c for c in CASES if c[0] == form):
            if place.endswith(".toml"):
                path = tmp_path / f"{form}-{number}.toml"
                path.write_text(text.replace("§", BASES["toml"]), encoding="utf-8")
                paths[path] = key
        refused = taplo(folder / f"{form}.schema.json", *paths)

        assert len(paths) > 10
        assert {key for path, key in paths.items() if path not in refused} <= NOT_EXPRESSIBLE


def test_a_line_in_the_file_names_its_schema(folder: Path) -> None:
    """``#:schema`` with a path that is relative to the recipe."""
    right, wrong = folder / "right.toml", folder / "wrong.toml"
    right.write_text("#:schema recipe.schema.json\n[train]\nsteps = 3\n")
    wrong.write_text("#:schema recipe.schema.json\n[train]\nstpes = 3\n")

    assert taplo(None, right, wrong) == {wrong}


# --- What is completed and shown -----------------------------------------------------------------

TEXT = """\
#:schema recipe.schema.json
[adapter]
use = "lora"

[batch]
overlong = "drop"
[[monitor]]
use = "pager"

[train]
stpes = 3
[optimizer]
use = ""
"""


class Server:
    """tombi, asked as an editor asks it (Language Server Protocol)."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [tool("tombi"), "lsp"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
        )
        self.number = 0
        self.told: list[Any] = []
        root = {"uri": folder.as_uri(), "name": "test"}
        self.ask("initialize", processId=None, rootUri=root["uri"], workspaceFolders=[root],
                 capabilities={"textDocument": {"completion": {}, "hover": {}}})  # fmt: skip
        self.send(method="initialized", params={})

    def send(self, **message: Any) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def receive(self) -> Any:
        assert self.process.stdout is not None
        size = 0
        while line := self.process.stdout.readline().strip():
            name, _, value = line.partition(b":")
            size = int(value) if name.lower() == b"content-length" else size
        return json.loads(self.process.stdout.read(size))

    def ask(self, method: str, **params: Any) -> Any:
        self.number += 1
        self.send(id=self.number, method=method, params=params)
        while True:
            message = self.receive()
            if "method" not in message and message["id"] == self.number:
                return message["result"]
            if "id" in message and "method" in message:
                items = message["params"].get("items", []) if message.get("params") else []
                self.send(id=message["id"], result=[{} for _ in items] or None)
            elif message.get("method") == "textDocument/publishDiagnostics":
                self.told.append(message)


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    (folder / "tombi.toml").write_text("[schema]\ncatalog = { paths = [] }\n")
    (folder / "edited.toml").write_text(TEXT)
    server = Server(folder)
    document = {"uri": (folder / "edited.toml").as_uri(), "languageId": "toml", "version": 1}
    server.send(method="textDocument/didOpen", params={"textDocument": document | {"text": TEXT}})
    while not server.told:  # it has read the schema when it has looked at the text
        server.ask("textDocument/hover", **at(folder, 1, 3))
    yield server
    server.process.kill()
    server.process.communicate()


def at(folder: Path, line: int, column: int) -> dict[str, Any]:
    uri = (folder / "edited.toml").as_uri()
    return {"textDocument": {"uri": uri}, "position": {"line": line, "character": column}}


def labels(found: Any) -> set[str]:
    return {item["label"] for item in (found["items"] if isinstance(found, dict) else found)}


def test_an_editor_completes_the_settings_of_the_chosen_component(
    server: Server, folder: Path
) -> None:
    found = server.ask("textDocument/completion", **at(folder, 3, 0))
    third = server.ask("textDocument/completion", **at(folder, 8, 0))
    names = server.ask("textDocument/completion", **at(folder, 12, len('use = "')))

    assert {"rank", "alpha", "dropout", "targets"} <= labels(found)
    assert {"level", "token", "retry"} <= labels(third)
    assert {'"adamw"', '"lion"'} <= labels(names)


def test_an_editor_shows_text_type_choices_and_default(server: Server, folder: Path) -> None:
    shown = server.ask("textDocument/hover", **at(folder, 5, 3))["contents"]["value"]

    assert "What to do with a longer document." in shown
    for word in ("drop", "truncate", "split", "error", "Default", "String"):
        assert word in shown


def test_an_editor_marks_the_misspelt_key_alone(server: Server) -> None:
    told = server.told[-1]

    wrong = told["params"]["diagnostics"]
    assert [problem["range"]["start"]["line"] for problem in wrong] == [10, 12]
