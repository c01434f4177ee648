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

# Zsh puts a space behind whatever is complete; a path that ends in a colon or dot goes on.
_ZSH = """\
#compdef cpcc

_cpcc_completion() {
    local -a response plain open described
    local kind value help
    (( ! $+commands[cpcc] )) && return 1
    response=("${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) _CPCC_COMPLETE=zsh_complete cpcc 2> /dev/null)}")
    for kind value help in ${response}; do
        case $kind in
            dir) _path_files -/ ;;
            file) _path_files -f ;;
            plain)
                if [[ $value == *[:.] ]]; then
                    open+=("${value//\\\\:/:}")
                elif [[ $help == _ ]]; then
                    plain+=("$value")
                else
                    described+=("$value:$help")
                fi ;;
        esac
    done
    (( $#open )) && compadd -U -Q -S '' -V open -a open
    (( $#plain )) && compadd -U -V plain -a plain
    (( $#described )) && _describe -V described described -U
    return 0
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _cpcc_completion "$@"
else
    compdef _cpcc_completion cpcc
fi
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
    if shell in ("bash", "zsh"):
        click.echo(_BASH if shell == "bash" else _ZSH, nl=False)
        return
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    root = click.get_current_context().find_root().command
    if found is not None:
        click.echo(found(root, {}, "cpcc", "_CPCC_COMPLETE").source())
