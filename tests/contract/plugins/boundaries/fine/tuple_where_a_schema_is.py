"""Answers with tuples and an OrderedDict, which are admitted where the hook declares an output schema.

kind = "splitter"
"""

from collections import OrderedDict


class TupleWhereASchemaIs:
    def split(self, text):
        before, found, after = text.partition(" ")
        return OrderedDict(parts=(before, found, *after.split()))
