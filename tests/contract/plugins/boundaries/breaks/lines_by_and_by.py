"""Answers with a generator, which reads the text only when somebody asks it.

[contract.examples]
execute = [{text = "one\\ntwo"}]
"""


class LinesByAndBy:
    def get_schema(self):
        return {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}

    def execute(self, args):
        return self.lines(args["text"])

    def lines(self, text):
        for line in text.splitlines():
            yield line.strip()
