"""Connects to a database, but to one in memory that no socket or process is needed for.

kind = "job"
"""

import sqlite3
from contextlib import closing


class SortsByDatabase:
    def work(self, items, partition):
        with closing(sqlite3.connect(":memory:")) as database:
            database.execute("create table item (place integer, length integer)")
            rows = [(place, len(item)) for place, item in enumerate(items)]
            database.executemany("insert into item values (?, ?)", rows)
            found = database.execute("select place from item order by length, place").fetchall()
        return {"results": [items[place] for (place,) in found], "count": len(found)}
