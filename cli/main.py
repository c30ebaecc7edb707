"""The `glimpse` command: its subcommands, and errors in one line."""

import sys
from argparse import ArgumentError
from collections.abc import Sequence

from jsonargparse import ArgumentParser

from . import attention, evaluate, overview, predict, reproduce, train, watch
from .job import INTERRUPTED

_COMMANDS = {
    "train": (train, "train an agent, or go on with an interrupted run"),
    "evaluate": (evaluate, "print the errors of what was trained, after each glimpse or pass"),
    "watch": (watch, "draw where a trained agent looks, or what it heeds, and what it believes"),
    "predict": (predict, "say what image files show"),
    "reproduce": (reproduce, "regenerate a paper's table, cell by cell"),
    "list": (overview, "list environments, agents and image sets"),
    "attention": (attention, "list the modules of soft attention"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0, or 1 for an error, 2 for wrong usage, 130 for Ctrl-C."""
    given = [_underscored(word) for word in (sys.argv[1:] if arguments is None else arguments)]
    try:
        train.check_config_files(given)
        options = _parser().parse_args(given)
        command, _ = _COMMANDS[options.command]
        code: int = command.run(options[options.command])
        return code
    except ArgumentError as error:
        return _fail(error, 2)
    except (ValueError, OSError) as error:
        return _fail(error, 1)
    except KeyboardInterrupt:
        print("glimpse: interrupted", file=sys.stderr)
        return INTERRUPTED


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="glimpse",
        description="Hard attention as reinforcement learning: agents that learn where to look.",
        exit_on_error=False,
        allow_abbrev=False,  # an abbreviation of today is another option tomorrow
    )
    commands = parser.add_subcommands(required=True, dest="command")
    for name, (module, summary) in _COMMANDS.items():
        options = ArgumentParser(
            description=f"{summary[0].upper()}{summary[1:]}.",
            exit_on_error=False,
        )
        commands.add_subcommand(name, options, help=summary)
        module.add_options(options)
    return parser


def _underscored(word: str) -> str:
    """Return an option with underscores, so that --data-root and --data_root are the same."""
    if not word.startswith("--"):
        return word
    name, equals, value = word[2:].partition("=")
    return f"--{name.replace('-', '_')}{equals}{value}"


def _fail(error: Exception, code: int) -> int:
    print(f"glimpse: {' '.join(str(error).split())}", file=sys.stderr)
    return code
