"""Flattens YAML by the rules of the predecessor's program, with the parser that it used: what `flatyaml` is measured beside."""
import argparse
import shlex
import sys

import yaml


def leaves(path, node, combine, found):
    """Collects the scalars below a node by their joined keys; a list tells its length, too."""
    if isinstance(node, dict):
        for key, value in node.items():
            leaves(path + combine + key if path else key, value, combine, found)
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            leaves(path + combine + str(index) if path else str(index), value, combine, found)
        found[path + combine + "len"] = len(node)
    else:
        found[path] = node


def text(value):
    if isinstance(value, str):
        return shlex.quote(value.strip())
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prefix", default="")
    parser.add_argument("--postfix", default="")
    parser.add_argument("--combine", default="_")
    parser.add_argument("--assign", default="=")
    parser.add_argument("--file", type=argparse.FileType("r"), default=sys.stdin)
    parser.add_argument("key")
    args = parser.parse_args()
    data = yaml.safe_load(args.file)
    for key in args.key.split(","):
        if key != "." and key not in data:
            print("no key " + key, file=sys.stderr)
            continue
        found = {}
        leaves("", data if key == "." else data[key], args.combine, found)
        above = "" if key == "." else key + args.combine
        for name in sorted(found):
            print(args.prefix + (above + name).upper() + args.assign + text(found[name]) + args.postfix)


main()
