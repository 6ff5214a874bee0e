"""Makes everything by generators and lazy maps, and reads them before it answers.

[contract.examples]
execute = [{text = "one\\ntwo"}]
"""

from itertools import chain


class GeneratorReadToItsEnd:
    def get_schema(self):
        return {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}

    def execute(self, args):
        return list(chain(self.lines(args["text"]), map(str, range(2))))

    def lines(self, text):
        for line in text.splitlines():
            yield line.strip()
