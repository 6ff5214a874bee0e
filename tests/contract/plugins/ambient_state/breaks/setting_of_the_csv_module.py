"""Raises the longest field that the csv module takes, for every user of it.

kind = "transform"
"""

import csv


class ReadsRows:
    def transform(self, text):
        csv.field_size_limit(1_000_000)
        made = "|".join(field for row in csv.reader(text.splitlines()) for field in row)
        return {"text": made, "length": len(made)}
