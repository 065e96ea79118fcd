"""Writes docs/openapi.json anew: `python -m tests.make_openapi`."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from server import unit_api
from tests.departments import a_department
from tests.test_server_api import DOCUMENT, the_unit_port

if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        described = unit_api.describe(the_unit_port(a_department(Path(folder) / "department")))
    DOCUMENT.write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
