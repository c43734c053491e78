"""Completions for bash, zsh and fish out of the tree of commands. A value completes to the words
that --help gives for it, to files where it is called FILE (or DIR, …), and else to nothing."""
import walk

NOTE = "# Completion of sternpost(1) for {}, written by contrib/man out of --help; do not edit."


def quoted(text):
    """In single quotes, for bash and zsh."""
    return "'" + text.replace("'", "'\\''") + "'"


def kind(argument):
    """What the value may be, for bash: "file", words, or nothing."""
    return "file" if argument.is_file else " ".join(argument.choices)


# -- bash ------------------------------------------------------------------------------------------

BASH = r"""
_sternpost() {
  local cur=${COMP_WORDS[COMP_CWORD]} path='' option='' placed=0 i word
  local commands options valued many kind
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    _sternpost_command "$path"
    if [[ $word == '=' ]]; then continue            # --option=value comes in three words
    elif [[ -n $option ]]; then option=''
    elif [[ " $valued " == *" $word "* ]]; then option=$word
    elif [[ $word == -* ]]; then continue
    elif [[ " $commands " == *" $word "* ]]; then path+=${path:+ }$word
    else placed=$((placed + 1))
    fi
  done
  _sternpost_command "$path"
  [[ $cur == '=' ]] && cur=''
  if [[ -z $option && $cur == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
    return
  elif [[ -z $option && -n $commands ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
    return
  elif [[ -z $option && $placed -gt 0 && -z $many ]]; then
    return
  fi
  _sternpost_value "$path" "$option"
  if [[ $kind == file ]]; then
    compopt -o filenames -o default 2>/dev/null     # default: also ~
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
  elif [[ -n $kind ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$kind" -- "$cur")
  fi
}
complete -F _sternpost sternpost
"""


def bash(tree):
    """contrib/completions/sternpost.bash"""
    about, values = [], []
    for command in tree.all():
        path = " ".join(command.path)
        names = [name for option in command.options for name in option.names]
        valued = [name for option in command.options if option.value for name in option.names]
        many = "1" if any(positional.many for positional in command.positionals) else ""
        about.append(f"    {quoted(path)})\n      commands={quoted(' '.join(command.names))}"
                     f" many={quoted(many)}\n      options={quoted(' '.join(names))}\n"
                     f"      valued={quoted(' '.join(valued))} ;;")
        for option in command.options:
            for name in option.names if kind(option) and option.value else ():
                values.append(f"    {quoted(f'{path}:{name}')}) kind={quoted(kind(option))} ;;")
        for positional in command.positionals[:1]:
            if kind(positional):
                values.append(f"    {quoted(f'{path}:')}) kind={quoted(kind(positional))} ;;")
    return "\n".join([NOTE.format("bash"), "# shellcheck shell=bash disable=SC2034", "",
                      "_sternpost_command() {  # COMMAND: sets what may follow it",
                      "  case $1 in", *about, "    *) commands='' many='' options='' valued='' ;;",
                      "  esac", "}", "",
                      "_sternpost_value() {  # COMMAND OPTION: sets what the value may be",
                      "  case $1:$2 in", *values, "    *) kind='' ;;", "  esac", "}"]) + BASH


# -- zsh -------------------------------------------------------------------------------------------

def function(command):
    """Name of the function for a command."""
    return "_" + "_".join(("sternpost",) + command.path).replace("-", "_")


def marked(text):
    """A description inside of [ ] and before colons."""
    for mark in "\\[]:":
        text = text.replace(mark, "\\" + mark)
    return text


def action(argument):
    """The part behind the colons of a value."""
    if argument.is_file:
        return "_files"
    return f"({' '.join(argument.choices)})" if argument.choices else " "


def zsh_argument(argument):
    """One specification of _arguments."""
    if not argument.names[0].startswith("-"):
        place = "*" if argument.many else ("" if argument.required else ":")
        return quoted(f"{place}:{marked(argument.value)}:{action(argument)}")
    tail = f"[{marked(argument.text)}]"
    if argument.value:
        tail += f":{marked(argument.value)}:{action(argument)}"
    specs = []
    for name in argument.names:
        form = name + (("=" if name.startswith("--") else "+") if argument.value else "")
        out = "*" if argument.many else f"({' '.join(argument.names + argument.excludes)})"
        specs.append(quoted(f"{out}{form}{tail}"))
    return " ".join(specs)


def zsh_function(command):
    """The function for one command."""
    specs = [f"    {zsh_argument(x)}" for x in command.options + command.positionals]
    if not command.children:
        return "\n".join([f"{function(command)}() {{", "  _arguments -s -S \\",
                          " \\\n".join(specs), "}", ""])
    names = [quoted(f"{child.path[-1]}:{marked(child.summary)}") for child in command.children]
    cases = [f"        {child.path[-1]}) {function(child)} ;;" for child in command.children]
    return "\n".join([
        f"{function(command)}() {{", "  local curcontext=$curcontext state line",
        "  local -a commands", "  _arguments -C \\", *(f"{spec} \\" for spec in specs),
        "    '1: :->command' '*:: :->rest' && return", "  case $state in", "    command)",
        "      commands=(", *(f"        {name}" for name in names), "      )",
        "      _describe -t commands command commands ;;", "    rest)", "      case $line[1] in",
        *cases, "      esac ;;", "  esac", "}", ""])


def zsh(tree):
    """contrib/completions/_sternpost"""
    return "\n".join(["#compdef sternpost", NOTE.format("zsh"), "",
                      *(zsh_function(command) for command in tree.all()),
                      'if [[ $funcstack[1] == _sternpost ]]; then', '  _sternpost "$@"', "else",
                      "  compdef _sternpost sternpost", "fi", ""])


# -- fish ------------------------------------------------------------------------------------------

FISH = """
function __sternpost_at --description 'Whether the words typed so far are this command'
    set -l path ''
    set -l value 0
    for word in (commandline -opc)[2..]
        if test $value = 1
            set value 0
        else if contains -- "$path:$word" $__sternpost_valued
            set value 1
        else if contains -- (string trim -- "$path $word") $__sternpost_commands
            set path (string trim -- "$path $word")
        end
    end
    test "$path" = "$argv"
end

complete -c sternpost -f
"""


def fish_quoted(text):
    """In single quotes, for fish."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish_argument(command, argument):
    """One `complete` line."""
    words = ["complete -c sternpost -n", fish_quoted(" ".join(("__sternpost_at",) + command.path))]
    for name in argument.names if argument.names[0].startswith("-") else ():
        words.append(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}")
    if argument.is_file:
        words.append("-r -F" if len(words) > 2 else "-F")
    elif argument.choices:
        words.append(("-x " if len(words) > 2 else "") +
                     f"-a {fish_quoted(' '.join(argument.choices))}")
    elif argument.value and len(words) > 2:
        words.append("-x")
    elif len(words) == 2:
        return []                   # a value of which nothing is known
    return [" ".join(words + [f"-d {fish_quoted(argument.text)}"])]


def fish(tree):
    """contrib/completions/sternpost.fish"""
    names = [" ".join(command.path) for command in tree.all() if command.path]
    valued = [f"{' '.join(command.path)}:{name}" for command in tree.all()
              for option in command.options if option.value for name in option.names]
    lines = [NOTE.format("fish"), "",
             "set -g __sternpost_commands " + " ".join(fish_quoted(name) for name in names),
             "set -g __sternpost_valued " + " ".join(fish_quoted(name) for name in valued)]
    rest = []
    for command in tree.all():
        for child in command.children:
            at = fish_quoted(" ".join(("__sternpost_at",) + command.path))
            rest.append(f"complete -c sternpost -n {at} -a {child.path[-1]} "
                        f"-d {fish_quoted(child.summary)}")
        for argument in command.options + command.positionals:
            rest += fish_argument(command, argument)
    return "\n".join(lines) + FISH + "\n".join(rest) + "\n"


def build(program):
    """Name of each file -> its text."""
    tree = walk.commands(program)
    return {"sternpost.bash": bash(tree), "_sternpost": zsh(tree), "sternpost.fish": fish(tree)}
