"""The front door: two kernels side by side, packaged recipes, whole runs of fake parts."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from llamahome_core import (
    ConfigError,
    Context,
    Interrupted,
    Kernel,
    Outcome,
    PackagedRecipe,
    PluginError,
    RunError,
    RunLockedError,
    RunNotFoundError,
    Stop,
    StorageError,
    Trained,
    TrainingError,
    UnknownNameError,
    Version,
    hookimpl,
    read_events,
)
from llamahome_core.files import lock


def events(directory: Path, kind: str | None = None) -> list[dict[str, Any]]:
    found = [event for _, event in read_events(directory / "events.jsonl")]
    return [event for event in found if kind in {None, event["t"]}]


def status(directory: Path) -> str:
    return str(json.loads((directory / "status.json").read_text())["state"])


def log(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "log" / "run.log").read_text().splitlines()]


@pytest.fixture
def run_one(make_kernel, tables, fakes):
    """Runs the recipe with *work* as its only stage; gives the outcome and the run's folder."""

    def run(work: Any = lambda _: None, *extra: Any, **more: Any) -> tuple[Outcome, Path]:
        fakes.work = work
        kernel = make_kernel(*extra)
        outcome = kernel.run(tables, **more)
        return outcome, max(kernel.workspace.runs.iterdir())

    return run


def raises(error: BaseException) -> Any:
    def work(_: Context) -> None:
        raise error

    return work


# --- Kernels


def test_two_kernels_with_other_plugins_live_in_one_process(make_kernel, tables):
    """What one loads, the other does not know."""

    class Watches:
        @hookimpl
        def llamahome_run_started(self, run: Any) -> None:
            seen.append(run.name)

    seen: list[str] = []
    with_it, without = make_kernel(Watches()), make_kernel()

    without.run(tables)
    assert seen == []
    with_it.run(tables)
    assert seen == ["small-2"]
    assert set(with_it.plugins.active) - set(without.plugins.active) == {"watches"}


def test_a_kernel_needs_nothing(monkeypatch, tmp_path):
    """It finds plugins, workspace and settings by itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LLAMAHOME_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("LLAMAHOME_PLUGINS", raising=False)

    environ: dict[str, str] = dict(os.environ)
    monkeypatch.setattr(os, "environ", environ)
    before = dict(environ)

    kernel = Kernel()

    assert {"data", "training"} <= set(kernel.plugins.active)
    assert kernel.workspace.root == tmp_path / "home"
    assert kernel.context().recipe.model == "none"
    assert environ == before, "what a program sets is its own"


@pytest.mark.parametrize("name", ["", " "])
def test_a_recipe_without_a_name_is_told_so(make_kernel, name):
    """And not taken for the folder that one is in."""
    with pytest.raises(UnknownNameError, match="the recipe has no name"):
        make_kernel().plan(name)


@pytest.mark.parametrize(
    ("recipe", "more", "words"),
    [
        (5, {}, "a recipe must be a file, a name or tables, got int"),
        (None, {}, "a recipe must be a file, a name or tables, got NoneType"),
        ({}, {"assignments": "model.from=x"}, "assignments must be a list of texts, got str"),
        ({}, {"assignments": 5}, "assignments must be a list of texts, got int"),
    ],
)
def test_arguments_of_another_type_are_told(make_kernel, recipe, more, words):
    """A program's mistake is said in words too."""
    with pytest.raises(RunError, match=words):
        make_kernel().plan(recipe, **more)


def test_what_is_missing_in_tables_is_missing_in_the_recipe(make_kernel):
    """And in no file, however many there are of settings."""
    with pytest.raises(ConfigError) as caught:
        make_kernel().plan({})
    assert {(p.path, p.place) for p in caught.value.problems} == {
        (("model",), "recipe"),
        (("data",), "recipe"),
    }


def test_a_kernel_with_variables_of_its_own_leaves_those_of_the_process(make_kernel, tables):
    """A program that embeds it may keep its caches elsewhere."""
    before, own = dict(os.environ), {"LLAMAHOME_TRAIN__STEPS": "2"}

    assert make_kernel(environ=own).run(tables).status == "finished"

    assert (dict(os.environ), own) == (before, {"LLAMAHOME_TRAIN__STEPS": "2"})


def test_a_plugin_may_have_any_name(make_kernel, tables):
    """Even the kernel's own."""

    class Named:
        __name__ = "kernel"

    assert make_kernel(Named()).run(tables).status == "finished"


# --- Recipes


class Haiku:
    @hookimpl
    def llamahome_recipes(self) -> Any:
        yield PackagedRecipe(name="haiku", summary="", package="lh_haiku", file="in/r.toml")
        yield PackagedRecipe(name="lost", summary="", package="lh_lost", file="r.toml")


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    package = tmp_path / "site" / "lh_haiku"
    (package / "in").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "in" / "r.toml").write_text("name = 'packaged'")
    monkeypatch.syspath_prepend(package.parent)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yield package / "in" / "r.toml"
    sys.modules.pop("lh_haiku", None)


def test_a_packaged_recipe_is_found_by_its_name(make_kernel, packaged):
    """A folder of that name, such as one that a run made, does not hide it; a file does."""
    kernel = make_kernel(Haiku())
    assert kernel.find_recipe("haiku") == packaged

    Path("haiku").mkdir()
    assert kernel.find_recipe("haiku") == packaged
    Path("haiku").rmdir()
    Path("haiku").write_text("")
    assert kernel.find_recipe("haiku") == Path("haiku")


@pytest.mark.usefixtures("packaged")
def test_a_file_is_taken_as_it_is(make_kernel):
    """One that is not there is reported when it is read, with names that are near."""
    kernel = make_kernel(Haiku())

    assert kernel.find_recipe("mine.toml") == Path("mine.toml")
    assert kernel.find_recipe(Path("..")) == Path("..")


@pytest.mark.parametrize(
    ("name", "hint"),
    [("haiko", "did you mean haiku?"), ("zz", "haiku, lost")],
)
@pytest.mark.usefixtures("packaged")
def test_a_recipe_that_is_nowhere_gets_a_hint(make_kernel, name, hint):
    with pytest.raises(UnknownNameError, match="no file and no packaged recipe") as caught:
        make_kernel(Haiku()).find_recipe(name)
    assert hint in str(caught.value.hint)


@pytest.mark.usefixtures("packaged")
def test_a_packaged_recipe_whose_package_is_gone_is_its_plugins_fault(make_kernel):
    with pytest.raises(PluginError, match="recipe 'lost' of plugin haiku"):
        make_kernel(Haiku()).find_recipe("lost")


def test_the_context_of_a_model_is_for_that_model(make_kernel, workspace, monkeypatch, tmp_path):
    """Whatever model the settings name; a path is relative to the working directory."""
    monkeypatch.chdir(tmp_path)
    (workspace.config / "llamahome.toml").write_text('[model]\nfrom = "theirs"\n')
    kernel = make_kernel()

    assert kernel.context().recipe.model == "theirs"
    assert kernel.context(model="mine").recipe.model == "mine"
    assert kernel.context(model="./m").recipe.model == str(tmp_path / "m")


def test_settings_that_are_wrong_are_told_with_a_context_too(make_kernel, workspace):
    (workspace.config / "llamahome.toml").write_text('model = "theirs"\n')

    with pytest.raises(ConfigError) as caught:
        make_kernel().context()
    assert [(p.code, p.path) for p in caught.value.problems] == [("C102", ("model",))]


# --- Runs


class Result:
    metrics = {"evaluate_loss": 1.5, "best": float("nan")}  # noqa: RUF012  # a value of the test


def test_a_run_that_finishes_leaves_a_complete_record(run_one):
    """What was run, with what, in which order, and what came of it."""

    def work(context: Context) -> None:
        context.put(Trained, Result())
        context.put(Version, Version(name="small", number=3))
        context.events.emit("note", text="here")

    outcome, directory = run_one(work)

    assert outcome.status == "finished"
    assert outcome.version.label == "small:v3"
    assert outcome.metrics["evaluate_loss"] == 1.5
    assert [e["t"] for e in events(directory)] == ["run", "stage", "note", "stage", "end"]
    (start,) = events(directory, "run")
    assert (start["name"], start["status"], start["model"]) == ("small-1", "started", "some:model")
    (end,) = events(directory, "end")
    assert end["next"] == ['llamahome generate small:v3 --prompt "Hello"']
    assert (end["metrics"]["best"], end["nonfinite"]) == (None, ["metrics.best"])
    assert status(directory) == "finished"
    assert tomllib.loads((directory / "resolved.toml").read_text())["name"] == "small"
    assert json.loads((directory / "plugins.json").read_text()) == {
        "parts": {"distribution": "embedded"}
    }
    assert (directory / "origins.json").exists()
    assert (directory / "environment.json").exists()


def test_the_recipe_is_kept_as_it_was_written(make_kernel, tmp_path):
    path = tmp_path / "bot.yaml"
    path.write_text("# mine\nmodel: {from: m}\ndata: [{use: rows, path: x}]\n")
    kernel = make_kernel()

    kernel.run(path)

    assert (kernel.workspace.runs / "bot-1" / "recipe.yaml").read_text() == path.read_text()


def test_a_run_without_a_version_suggests_nothing(run_one):
    _, directory = run_one()

    (end,) = events(directory, "end")
    assert "next" not in end


@pytest.mark.parametrize(
    "error",
    [RuntimeError("boom"), SystemExit(3), MemoryError(), ExceptionGroup("two", [OSError()])],
)
def test_whatever_a_stage_raises_fails_the_run_with_a_report(run_one, error):
    """An outcome and no exception; the report and the log have the traceback."""
    outcome, directory = run_one(raises(error))

    assert (outcome.status, outcome.error.__cause__) == ("failed", error)
    (end,) = events(directory, "end")
    assert end["code"] == "X900"
    assert f"(embedded) failed: {type(error).__name__}" in end["error"]
    assert end["next"] == ["llamahome run --resume small-1"]
    report = Path(end["report"])
    assert report == directory / "log" / "crash.txt"
    assert "in work" in report.read_text()
    assert any("in work" in line.get("exception", "") for line in log(directory))
    assert status(directory) == "failed"


def test_a_foreseen_error_needs_no_report(run_one):
    """It says what happened and how to mend it."""
    outcome, directory = run_one(raises(TrainingError("the loss is not finite", hint="lower lr")))

    assert outcome.status == "failed"
    (end,) = events(directory, "end")
    assert (end["error"], end["hint"], end["code"]) == (
        "the loss is not finite",
        "lower lr",
        "T501",
    )
    assert "report" not in end
    assert not (directory / "log" / "crash.txt").exists()


def test_a_run_that_is_asked_to_stop_is_stopped(run_one):
    """By a signal handler, between or inside stages; the events tell at once."""
    stop = Stop()

    def work(context: Context) -> None:
        stop.request(signal.SIGTERM)
        context.stop.check()

    outcome, directory = run_one(work, stop=stop)

    assert outcome.status == "stopped"
    assert isinstance(outcome.error, Interrupted)
    assert events(directory, "stopping")[0]["signal"] == signal.SIGTERM
    assert events(directory, "end")[0]["next"] == ["llamahome run --resume small-1"]
    assert status(directory) == "stopped"


def test_a_stop_before_the_first_stage_runs_none(run_one):
    stop = Stop()
    stop.request()

    outcome, _ = run_one(raises(AssertionError("it ran")), stop=stop)

    assert outcome.status == "stopped"


class Profiler:
    def __init__(self) -> None:
        self.seen: list[Any] = []

    @hookimpl(wrapper=True)
    def llamahome_execute(self, run: Any) -> Any:
        self.seen.append(run.name)
        result = yield
        self.seen.append(result.status)
        return result


def test_execution_can_be_wrapped(run_one):
    """A profiler or a retry is a few lines."""
    profiler = Profiler()

    outcome, _ = run_one(lambda _: None, profiler)

    assert outcome.status == "finished"
    assert profiler.seen == ["small-1", "finished"]


def test_execution_can_be_replaced(run_one):
    """The kernel's own comes last."""

    class Elsewhere:
        @hookimpl
        def llamahome_execute(self, run: Any) -> Outcome:
            return Outcome(status="finished", metrics={"by": "another machine"})

    outcome, _ = run_one(raises(AssertionError("it ran here")), Elsewhere())

    assert outcome.metrics == {"by": "another machine"}


def test_a_wrapper_that_forgets_the_result_fails_the_run(run_one):
    """Otherwise the version would be lost without a word."""

    class Forgets:
        @hookimpl(wrapper=True)
        def llamahome_execute(self) -> Any:
            yield

    outcome, _ = run_one(lambda _: None, Forgets())

    assert outcome.status == "failed"
    assert "return (yield)" in outcome.error.hint


class Observer:
    def __init__(self) -> None:
        self.seen: list[Any] = []

    @hookimpl
    def llamahome_run_started(self, run: Any) -> None:
        self.seen.append((run.name, status(run.directory)))
        raise RuntimeError("observer down")

    @hookimpl
    def llamahome_run_finished(self, outcome: Any) -> None:
        self.seen.append(outcome.status)
        raise SystemExit(1)


@pytest.mark.parametrize("work", [lambda _: None, raises(OSError("no"))])
def test_observers_that_fail_are_logged_and_the_run_goes_on(run_one, work):
    """Both are called however the run ends."""
    observer = Observer()

    outcome, directory = run_one(work, observer)

    assert observer.seen == [("small-1", "running"), outcome.status]
    told = [line for line in log(directory) if line["event"] == "observer failed"]
    assert {line["plugin"] for line in told} == {"observer (embedded)"}
    assert [(line["hook"], line["error"]) for line in told] == [
        ("llamahome_run_started", "RuntimeError('observer down')"),
        ("llamahome_run_finished", "SystemExit(1)"),
    ]


def test_a_plan_is_run_as_it_is(make_kernel, tables):
    """What is given besides would be ignored, so it is refused."""
    kernel = make_kernel()
    plan = kernel.plan(tables)

    assert kernel.run(plan).status == "finished"
    for more in ({"parameters": {"seed": 1}}, {"assignments": ["seed=1"]}):
        with pytest.raises(RunError, match="a plan is settled"):
            kernel.run(plan, **more)


def test_a_run_needs_a_folder(make_kernel, tables):
    """A context of a plan has none."""
    from llamahome_core.lifecycle import live

    kernel = make_kernel()
    plan = kernel.plan(tables)

    with pytest.raises(RunError, match=r"use Kernel\.run"):
        live(plan, kernel.context(plan), ())


# --- Resuming


def test_a_failed_run_is_resumed_in_its_own_folder(run_one, make_kernel, fakes):
    """With the recipe that it was started with; the events go on."""
    _, directory = run_one(raises(RuntimeError("boom")))
    resumed: list[Any] = []
    kernel = make_kernel()
    fakes.work = raises(RuntimeError("again"))
    assert kernel.resume("small").status == "failed"
    fakes.work = lambda context: resumed.append((context.resume, context.directory))
    outcome = kernel.resume("small")

    assert outcome.status == "finished"
    assert resumed == [(True, directory)]
    assert [event["status"] for event in events(directory, "run")] == [
        "started",
        "resumed",
        "resumed",
    ]


def test_what_cannot_be_resumed_says_why(run_one, make_kernel, workspace):
    """A finished run, one that goes on elsewhere, one that never started, and none at all."""
    _, directory = run_one()
    with pytest.raises(RunError, match="run small-1 is finished") as caught:
        make_kernel().resume("@last")
    assert str(directory / "resolved.toml") in str(caught.value.hint)

    _, second = run_one(raises(RuntimeError()))
    with lock(second / ".lock"), pytest.raises(RunLockedError):
        make_kernel().resume("small-2")

    (workspace.runs / "torn-1").mkdir()
    with pytest.raises(RunError, match="torn-1 ended before its recipe was written"):
        make_kernel().resume("torn-1")
    with pytest.raises(RunNotFoundError):
        make_kernel().resume("nobody")

    (second / "resolved.toml").unlink()
    with pytest.raises(RunError, match="small-2 has lost its recipe: there is no"):
        make_kernel().resume("small-2")


def test_a_stop_that_comes_when_the_work_is_done_is_noted_and_changes_nothing(run_one):
    """A version that is out is out."""
    stop = Stop()

    outcome, directory = run_one(lambda _: stop.request(), stop=stop)

    assert (outcome.status, status(directory)) == ("finished", "finished")
    (note,) = events(directory, "note")
    assert note["text"] == "the signal came when the work was done"


def test_a_stop_after_the_last_word_is_not_announced(run_one):
    """Observers are still called then, and nothing is left to stop."""

    class Late:
        @hookimpl
        def llamahome_run_finished(self) -> None:
            stop.request()

    stop = Stop()
    outcome, directory = run_one(lambda _: None, Late(), stop=stop)

    assert outcome.status == "finished"
    assert events(directory, "stopping") == []


# --- A disk that fails


def _full(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_is_full_at_the_end_fails_the_run(run_one, monkeypatch):
    """An outcome all the same: what was not written down did not happen."""

    def work(_: Context) -> None:
        monkeypatch.setattr(os, "write", _full)

    outcome, directory = run_one(work)
    monkeypatch.undo()

    assert outcome.status == "failed"
    assert isinstance(outcome.error, StorageError)
    assert events(directory)[-1]["t"] == "stage"


def test_a_full_disk_does_not_hide_the_first_error(run_one, monkeypatch):
    error = TrainingError("the first")

    def work(_: Context) -> None:
        monkeypatch.setattr(os, "write", _full)
        raise error

    outcome, _ = run_one(work)
    monkeypatch.undo()

    assert outcome.error is error


def test_a_signal_on_a_full_disk_still_stops_cleanly(run_one, monkeypatch):
    """The handler cannot note it; it must not raise in the middle of a step either."""
    stop = Stop()

    def work(context: Context) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", _full)
            stop.request()
        context.stop.check()

    outcome, _ = run_one(work, stop=stop)

    assert outcome.status == "stopped"


def test_a_sync_that_fails_at_the_end_fails_the_run(run_one, monkeypatch):
    """What is not durable is not promised; closing the file again tells nothing new."""

    def work(_: Context) -> None:
        monkeypatch.setattr(os, "fsync", _full)

    outcome, _ = run_one(work)
    monkeypatch.undo()

    assert isinstance(outcome.error, StorageError)
