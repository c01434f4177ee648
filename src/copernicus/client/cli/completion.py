"""The command that prints completion scripts."""

from __future__ import annotations

import click

from copernicus.client.cli.context import command

# Bash breaks words at colons, which stand in most paths: the word is taken from the line itself, and of each candidate the
# part before the last colon is left away again.
_BASH = """\
_cpcc_completion() {
    local line=${COMP_LINE:0:COMP_POINT} words=() word cut='' kind value
    IFS=' ' read -ra words <<< "$line"
    [[ $line == *' ' ]] && words+=('')
    word=${words[${#words[@]} - 1]}
    [[ $word == *:* && $COMP_WORDBREAKS == *:* ]] && cut=${word%"${word##*:}"}
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case $kind in
            dir|file) compopt -o default; COMPREPLY=(); return ;;
            plain) COMPREPLY+=("${value#"$cut"}"); [[ $value == *[:.] ]] && compopt -o nospace ;;
        esac
    done < <(COMP_WORDS=$line COMP_CWORD=$((${#words[@]} - 1)) _CPCC_COMPLETE=bash_complete cpcc 2> /dev/null)
}
complete -F _cpcc_completion cpcc
"""


@command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the completion script of SHELL: commands, projects, instances and places are completed, as the server has them.

    \b
    bash: put into ~/.bashrc:                   eval "$(cpcc completion bash)"
    zsh:  put into ~/.zshrc, after compinit:    eval "$(cpcc completion zsh)"
    fish: cpcc completion fish > ~/.config/fish/completions/cpcc.fish
    """
    if shell == "bash":
        click.echo(_BASH, nl=False)
        return
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    root = click.get_current_context().find_root().command
    if found is not None:
        click.echo(found(root, {}, "cpcc", "_CPCC_COMPLETE").source())
