"""YAML as an API server writes it: keys in order, text in double quotes where it could be taken for something else."""

from __future__ import annotations

from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    plain = dumper.resolve(yaml.ScalarNode, value, (True, False)) == "tag:yaml.org,2002:str"
    style = "|" if "\n" in value else None if plain else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(body: Any) -> bytes:
    text: str = yaml.dump(body, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, width=1 << 20)
    return text.encode()
