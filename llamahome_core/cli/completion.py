"""``llamahome completion``: what a shell asks at each Tab, and the script that makes it ask.

click finds the command and the parameter; the scripts are our own. A word such as
``train.steps=`` or ``name:tag`` is one word here, which bash would split, and nothing that goes
wrong, in a plugin or in a file of settings, may write into the line that somebody types.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click import shell_completion

from llamahome_core.cli.help import Command

if TYPE_CHECKING:
    from llamahome_core.cli.main import State

VARIABLE = "_LLAMAHOME_COMPLETE"
"""Set by the script when the command is asked for completions."""

_BASH = """\
# Completion of llamahome in bash. In ~/.bashrc: eval "$(llamahome completion bash)"
%(complete_func)s() {
    local response kind value line
    response=$(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null </dev/null)
    COMPREPLY=()
    while IFS= read -r line; do
        kind=${line%%%%,*} value=${line#*,}
        case $kind in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            open) compopt -o nospace; COMPREPLY+=("$value") ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done <<< "$response"
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

_ZSH = """\
#compdef %(prog_name)s
# Completion of llamahome in zsh. In ~/.zshrc, after compinit: eval "$(llamahome completion zsh)"
%(complete_func)s() {
    local -a plain described open response
    local kind value text
    (( $+commands[%(prog_name)s] )) || return 1
    response=("${(@f)$(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) \\
        %(complete_var)s=zsh_complete %(prog_name)s 2>/dev/null </dev/null)}")
    for kind value text in ${response}; do
        case $kind in
            dir) _path_files -/ ;;
            file) _path_files ;;
            open) open+=("$value") ;;
            plain)
                if [[ $text == _ ]]; then plain+=("$value")
                else described+=("${value//:/\\\\:}:$text"); fi ;;
        esac
    done
    (( $#described )) && _describe -V unsorted described -U
    (( $#plain )) && compadd -U -V unsorted -a plain
    (( $#open )) && compadd -U -S '' -V unsorted -a open
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""

_FISH = """\
# Completion of llamahome in fish. Once:
#   llamahome completion fish > ~/.config/fish/completions/llamahome.fish
function %(complete_func)s
    set -l response (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp) \\
        COMP_CWORD=(commandline -t) %(prog_name)s 2>/dev/null </dev/null)
    for line in $response
        set -l parts (string split -m1 , -- $line)
        switch $parts[1]
            case dir
                __fish_complete_directories $parts[2]
            case file
                __fish_complete_path $parts[2]
            case open plain
                echo $parts[2]
        end
    end
end
complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


class _Bash(shell_completion.BashComplete):
    source_template = _BASH

    def source(self) -> str:
        """The script; which bash reads it is not for us to guess."""
        return shell_completion.ShellComplete.source(self)

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words of the line up to the cursor, whole, and the last one."""
        line = os.environ["COMP_LINE"]
        words = shell_completion.split_arg_string(line)
        while words and Path(words[0]).name != self.prog_name:
            words.pop(0)  # X=1 llamahome
        incomplete = "" if line[-1:].isspace() or len(words) < 2 else words.pop()  # noqa: PLR2004  # the command alone
        return words[1:], incomplete

    def complete(self) -> str:
        """The answers; of a word that bash splits, it wants the part after the last split."""
        args, incomplete = self.get_completion_args()
        breaks = [b for b in "=:" if b in os.environ.get("COMP_WORDBREAKS", "=:")]
        cut = max((incomplete.rfind(sign) + 1 for sign in breaks), default=0)
        found = self.get_completions(args, incomplete)
        return "\n".join(f"{item.type},{item.value[cut:]}" for item in found)


class _Zsh(shell_completion.ZshComplete):
    source_template = _ZSH

    def format_completion(self, item: shell_completion.CompletionItem) -> str:
        """Three lines: what kind it is, the word, and its help."""
        return f"{item.type}\n{item.value}\n{item.help or '_'}"


class _Fish(shell_completion.FishComplete):
    source_template = _FISH

    def format_completion(self, item: shell_completion.CompletionItem) -> str:
        """The word, and its help after a tab."""
        text = f"\t{item.help}" if item.help else ""
        return f"{item.type},{item.value}{text}"


SHELLS: dict[str, type[shell_completion.ShellComplete]] = {
    "bash": _Bash,
    "zsh": _Zsh,
    "fish": _Fish,
}


def answer(root: click.Group, state: State) -> int:
    """Print what completes the line that the environment tells of; the exit code."""
    shell = os.environ[VARIABLE].partition("_")[0]
    try:
        asked = SHELLS[shell](root, {"obj": state}, "llamahome", VARIABLE)
        text = asked.complete()
        if text:
            click.echo(text)
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001  # a prompt is no place for an error message
        return 1
    return 0


def _group() -> Any:
    from llamahome_core.cli.main import llamahome

    return llamahome


@click.command(
    cls=Command,
    examples=[
        ("llamahome completion bash > ~/.llamahome.bash", "then source it in ~/.bashrc"),
        ("llamahome completion zsh > ~/.zfunc/_llamahome", "a folder of your fpath"),
        ("llamahome completion fish > ~/.config/fish/completions/llamahome.fish", "for fish"),
    ],
)
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(shell: str) -> None:
    """Print the script that lets SHELL complete commands, options and names.

    It knows the runs, recipes, models, plugins, components and settings that are there when Tab
    is pressed.
    """
    from llamahome_core.cli.output import write

    write(SHELLS[shell](_group(), {}, "llamahome", VARIABLE).source().rstrip("\n"))
