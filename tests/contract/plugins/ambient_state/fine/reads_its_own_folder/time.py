import json
from pathlib import Path


def time(name):
    """The words of a file in this folder."""
    return json.loads(Path(__file__).with_name(name).read_text(encoding="utf-8"))
