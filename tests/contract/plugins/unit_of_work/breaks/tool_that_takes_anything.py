"""Declares a partition key, but is a tool that tells no schema, so that no input is known to have one.

[unit_of_work]
declared = true
partition_key = "partition"

[contract.examples]
execute = [{partition = "a", words = ["one", "two"]}, {}]
"""


class CountsWords:
    def execute(self, args):
        words = args.get("words")
        return {"partition": str(args.get("partition", "")), "words": len(words) if isinstance(words, list) else 0}
