"""Looking before running: plan, check, config show; and a workspace to do it in."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path


def test_init_makes_a_workspace_and_leaves_what_is_there(cli, tmp_path: Path) -> None:
    root = tmp_path / "bots"
    (root / ".config").mkdir(parents=True)
    (root / ".config/models.json").write_text('{"mine": {"source": "hub:a/b"}}')
    (root / ".gitignore").write_text("mine\n")

    made, again = cli("init", str(root)), cli("init", str(root))

    assert (made.code, made.out) == (0, f"{root}\n")
    assert f"next: cd {root} && llamahome run quickstart" in made.err
    assert "mine" in (root / ".config/models.json").read_text()
    assert (root / ".gitignore").read_text() == "mine\n"
    assert (again.code, again.out) == (2, "")
    assert "is a workspace already" in again.err


def test_plan_shows_parts_with_plugin_version_and_origin_then_the_stages(
    cli, written: Path
) -> None:
    result = cli("plan", str(written))
    document = json.loads(cli("plan", str(written), "--json").out)

    lines = result.out.splitlines()
    assert lines[0] == "tiny, seed 3"
    row = next(line for line in lines if line.startswith("optimizer"))
    assert row.split()[1:3] == ["adamw", "training"]
    assert "recipe.json:1:" in row
    assert next(line for line in lines if line.startswith("schedule")).endswith("default")
    assert [s for s in ("fetch", "prepare", "train", "publish") if s in lines] == [
        "fetch",
        "prepare",
        "train",
        "publish",
    ]
    assert "dropped" in result.out
    kinds = [c["kind"] for c in document["components"]]
    assert kinds[0] == "data"
    assert {"optimizer", "trainer", "store"} <= set(kinds)
    assert document["stages"]["prepare"]["steps"] == 6


def test_plan_tells_held_out_data_and_settings_of_model_sources(cli, written: Path) -> None:
    recipe = json.loads(written.read_text())
    recipe["data"].append(recipe["data"][0] | {"role": "evaluate"})
    recipe["model"]["hub"] = {"workers": 2}
    recipe["data"].append(recipe["data"][0] | {"use": "data:jsonl"})
    recipe["transform"] = [{"use": "dedup"}, {"use": "data:dedup"}]
    recipe["monitor"] = [{"use": "tensorboard"}]
    written.write_text(json.dumps(recipe))

    text = cli("plan", str(written)).out
    document = json.loads(cli("plan", str(written), "--json").out)

    assert "jsonl (held out)" in text
    kinds = [component["kind"] for component in document["components"]]
    assert kinds[:4] == ["data", "data", "data", "transform"]
    dropped = document["stages"]["prepare"]["dropped"]["duplicate"]
    assert dropped >= 24
    assert f"use dedup, changed 0, dropped duplicate {dropped}, use data:dedup, changed 0" in text
    assert "hub" in text
    assert "tensorboard" in text


def test_check_reports_each_recipe_and_takes_the_gravest_exit_code(
    cli, written: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[train]\nstpes = 1\n")

    good, both = cli("check", str(written)), cli("check", str(written), str(wrong), "nope")
    document = json.loads(cli("check", str(wrong), "nope", "--json").out)

    assert (good.code, good.out, good.err) == (0, f"{written}: ok\n", "")
    assert (both.code, both.out) == (2, f"{written}: ok\n")
    assert "did you mean `steps`?" in both.err
    assert "error[P206]" in both.err
    assert document["ok"] is False
    assert {p["code"] for p in document["problems"]} >= {"C101", "P206"}
    assert cli("check", "nope").code == 4


def test_check_without_a_recipe_checks_the_settings_and_what_set_changes(cli) -> None:
    good, wrong = cli("check"), cli("check", "--set", "train.steps=x")

    assert (good.code, good.out) == (0, "settings: ok\n")
    assert wrong.code == 2
    assert "must be a whole number" in wrong.err


def test_config_show_covers_secrets_and_tells_origins(cli, kernel, written: Path) -> None:
    (kernel.workspace.config / "llamahome.toml").write_text(
        '[train]\nlog_every = 5\n[store]\napi_key = "hunter2"\n'
    )

    plain = cli("config", "show")
    origins = cli("config", "show", "--origin", "--set", "train.log_every=7").out
    full = json.loads(cli("config", "show", "--all", "--json", str(written)).out)["settings"]

    assert "hunter2" not in plain.out + origins + json.dumps(full)
    assert "train.log_every  " in plain.out
    assert "--set train.log_every=7 (over project " in origins
    found = {row["key"]: row for row in full}
    assert len(found) == len(full)
    assert found["train.clip"] == {"key": "train.clip", "value": 1.0, "origin": "default"}
    assert found["optimizer.learning_rate"]["origin"].startswith("recipe ")
    assert found["optimizer.beta1"]["value"] == 0.9
    assert found["data.0.format"]["value"] == "auto"
    assert found["resources.threads"]["value"] is None


def test_config_show_shows_what_is_wrong_too(cli, kernel) -> None:
    (kernel.workspace.config / "llamahome.toml").write_text("monitor = 3\n[train]\nstpes = 5\n")

    assert "train.stpes" in cli("config", "show", "--all").out


def test_init_of_a_folder_without_a_name_makes_nothing(cli, tmp_path: Path, monkeypatch) -> None:
    """`llamahome init "$UNSET"`: not the same as naming none."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    result = cli("init", "")

    assert (result.code, result.out) == (2, "")
    assert "the folder has no name" in result.err
    assert list((tmp_path / "here").iterdir()) == []


def test_init_here_needs_no_cd(cli, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert "next: llamahome run quickstart" in cli("init").err
    assert ".cache/" in (tmp_path / ".gitignore").read_text()


def test_plan_and_check_work_where_nothing_can_be_written(
    cli, written: Path, workspace, monkeypatch
) -> None:
    """What a plan prepares is thrown away; the figures are the same."""
    usual = cli("plan", str(written), "--json")
    shutil.rmtree(workspace.root / ".cache")
    root, access = str(workspace.root), os.access
    before = sorted(workspace.root.rglob("*"))
    monkeypatch.setattr(
        os, "access", lambda path, mode: not str(path).startswith(root) and access(path, mode)
    )

    planned, checked = cli("plan", str(written), "--json"), cli("check", str(written))

    assert (planned.code, checked.code) == (0, 0), planned.err
    assert json.loads(planned.out)["stages"] == json.loads(usual.out)["stages"]
    assert sorted(workspace.root.rglob("*")) == before
