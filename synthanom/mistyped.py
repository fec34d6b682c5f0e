"""What typer says about a mistyped option, command or choice, with the nearest that there is."""

import re

from synthanom.nearest import meant

OPTION = re.compile(r"No such option: (?P<got>\S+) \(Possible options: (?P<known>.*)\)")
COMMAND = re.compile(r"No such command '(?P<got>.*?)'\. Did you mean (?P<known>.*)\?")
CHOICE = re.compile(r"'(?P<got>[^']*)' is not one of (?P<known>'.*')")


def misuse(line: str) -> str:
    """A message of typer's with the way out: the nearest option, command or choice in our words, and the help.

    Parameters
    ----------
    line : str
        Without a point at its end.
    """
    offered = _with_nearest(line)
    return f"{offered} See --help" if offered.endswith("?") else f"{offered}; see --help"


def _with_nearest(line: str) -> str:
    option = OPTION.fullmatch(line)
    if option is not None:
        return f"No such option: {option['got']}{meant(option['got'], option['known'].split(', '))}"
    command = COMMAND.fullmatch(line)
    if command is not None:
        return f"No such command {command['got']!r}{meant(command['got'], _quoted(command['known']))}"
    choice = CHOICE.search(line)
    return line if choice is None else f"{line}{meant(choice['got'], _quoted(choice['known']))}"


def _quoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)
