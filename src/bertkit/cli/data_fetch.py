"""Download the files of a named task from their official address, check them, and put them in place.

Its licence is shown first. A download that was cut goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bertkit.cli.arguments import add_shared
from bertkit.text.jsons import to_json

EXAMPLES = """examples:
  bertkit data fetch sst2                   into the cache, where every command finds it
  bertkit data fetch sst2 --to data/sst2    finetune sst2 --data data/sst2
  bertkit data fetch mrpc --from Downloads  files that a browser has downloaded"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("task", help="a named task; bertkit data list names them")
    parser.add_argument(
        "--to", type=Path, metavar="FOLDER", help="where to put the files (default: the cache)"
    )
    parser.add_argument(
        "--from", dest="local", type=Path, metavar="FOLDER", help="take the downloads from there instead"
    )
    add_shared(parser, "--json")


def run(arguments: argparse.Namespace) -> int:
    """Do it and print what was found."""
    from bertkit.show.display import FetchDisplay
    from bertkit.tasks.here import fetch_task, origin

    source = origin(arguments.task)
    for name, text in (("licence", source.licence), ("cite", source.cite)):
        print(f"{name:8} {text}", file=sys.stderr, flush=True)
    with FetchDisplay() as display:
        result = fetch_task(arguments.task, to=arguments.to, local=arguments.local, listener=display)
    if arguments.json:
        print(to_json(result))
        return 0
    for each in result["downloads"]:
        known = (
            "the digest is the published one" if each["checked"] else "not checked: no digest is published"
        )
        print(f"{each['url']}: {each['bytes']:,} bytes, sha256 {each['sha256']}; {known}")
    print(f"{result['folder']}: {', '.join(result['files'])}")
    return 0
