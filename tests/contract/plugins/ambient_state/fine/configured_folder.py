"""Keeps a database below a folder that its configuration names.

kind = "transform"

[config_schema]
type = "object"
required = ["folder"]
properties = {folder = {type = "string"}}

[contract.config]
folder = "${tmpdir}/cache/a"
"""

import sqlite3
from contextlib import closing
from pathlib import Path


class Stores:
    def setup(self, ctx):
        self.place = Path(ctx.config["folder"], "last.db")
        self.place.parent.mkdir(parents=True, exist_ok=True)

    def transform(self, text):
        with closing(sqlite3.connect(self.place)) as database, database:
            database.execute("create table if not exists last (length integer)")
            database.execute("delete from last")
            database.execute("insert into last values (?)", (len(text),))
            (length,) = database.execute("select length from last").fetchone()
        return {"text": text, "length": length}

    def teardown(self):
        self.place.unlink(missing_ok=True)
