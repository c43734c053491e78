"""The three man pages: docs/man/*.in with what the program says in the place of `@words@`."""
import re

import roff
import walk

COMMON = (["-h", "--help"], ["-c", "--config"])     # said once, in OPTIONS


def value(argument):
    """`=FILE` or ` FILE`, in the forms of a synopsis."""
    return rf" \fI{roff.typed(argument.value)}\fR" if argument.value else ""


def synopsis(command):
    """How a command is called, in one paragraph."""
    words = [rf"\fB{roff.typed(command.name)}\fR"]
    for option in command.options:
        if option.names in COMMON:
            continue
        text = rf"\fB{roff.typed(option.names[-1])}\fR{value(option)}"
        words.append(text if option.required else f"[{text}]")
    for positional in command.positionals:
        dots = r" .\|.\|." if positional.many else ""
        text = rf"\fI{roff.typed(positional.value)}\fR{dots}"
        words.append(text if positional.required else f"[{text}]")
    # What belongs together is not broken.
    return [word.replace(" ", r"\ ") if at else word for at, word in enumerate(words)]


def listed(argument):
    """An option or positional with its description."""
    head = ", ".join(rf"\fB{roff.typed(name)}\fR" for name in argument.names)
    if not argument.names[0].startswith("-"):
        head = rf"\fI{roff.typed(argument.value)}\fR"
    elif argument.value:
        head += value(argument)
    text = argument.text if argument.text.endswith(".") else argument.text + "."
    if argument.default:
        text += f" Default: {argument.default}"
    if argument.excludes:
        text += f" Not together with {', '.join(argument.excludes)}."
    return [".TP", roff.guarded(head), *roff.prose(text)]


def common(program):
    """The options of the program itself, and those that stand in COMMON."""
    found = {}
    for command in program.all():
        for option in command.options:
            if option.names in COMMON or not command.path:
                found.setdefault(tuple(option.names), option)
    return sorted(found.values(), key=lambda option: option.names not in COMMON)


def command_text(command, usual):
    """The part of COMMANDS about one command; `usual`: what the same options say elsewhere."""
    lines = [f".SS {roff.typed(command.name)}", *roff.prose(command.summary + ".")]
    own = [x for x in command.options if x.text != usual.get(tuple(x.names))]
    for argument in command.positionals + own:
        lines += listed(argument)
    for part in command.prose:
        lines.append(".PP")
        lines += roff.verbatim(part) if isinstance(part, list) else roff.prose(part)
    return [*lines, ".PP", "Examples:", ".PP", *roff.verbatim(command.examples, indent=False)]


def synopses(program):
    """SYNOPSIS."""
    lines = []
    for command in program.leaves():
        lines += [".HP 4", *synopsis(command)]
    return lines


def keys(sections):
    """SECTIONS of the configuration."""
    lines = []
    for section in sections:
        lines += [f".SS {roff.typed(section.name)}", *roff.prose(section.text)]
        for key in section.keys:
            head = rf"\fB{roff.typed(key.name)}\fR = {roff.typed(key.value)}"
            if not key.default:
                head = rf"\fB{roff.typed(key.name)}\fR = \fI{roff.typed(key.value)}\fR (example)"
            lines += [".TP", head, *roff.prose(key.text)]
    return lines


def filled(template, parts):
    """The template with the lines of `parts`; a name that is not there is a mistake."""
    lines = []
    for line in template.rstrip("\n").split("\n"):
        found = re.fullmatch(r"@([a-z-]+)@", line)
        lines += parts[found[1]]() if found else [line.replace("@version@", parts["version"])]
    return "\n".join(lines) + "\n"


def build(program, templates):
    """Name of each page -> its text."""
    tree = walk.commands(program)
    head, sections = walk.sections(program)
    usual = {tuple(option.names): option.text for option in common(tree)
             if option.names in COMMON}
    head = head.partition(" has none. ")[2] or head     # what is about the printed form is left out
    parts = {"version": walk.run(program, "--version").split()[1],
             "synopsis": lambda: synopses(tree), "head": lambda: roff.prose(head),
             "common": lambda: [line for option in common(tree) for line in listed(option)],
             "commands": lambda: [line for command in tree.leaves()
                                  for line in command_text(command, usual)],
             "keys": lambda: keys(sections)}
    pages = {}
    for path in sorted(templates.glob("*.in")):
        pages[path.name.removesuffix(".in")] = filled(path.read_text(encoding="utf-8"), parts)
    return pages
