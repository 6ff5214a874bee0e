"""Examples in docstrings run as tests, each beside the code that it shows."""

from __future__ import annotations

from sybil import Sybil
from sybil.document import PythonDocStringDocument
from sybil.parsers.rest import DocTestParser

pytest_collect_file = Sybil(
    parsers=[DocTestParser()],
    path="dagstack_plugins",
    pattern="*.py",
    document_types={".py": PythonDocStringDocument},
).pytest()
