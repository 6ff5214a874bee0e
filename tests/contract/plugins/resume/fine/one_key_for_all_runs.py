"""Has one key for everything and leaves it full, but drops a state that tells of another input.

kind = "job"

[unit_of_work]
declared = true
partition_key = "partition"
checkpointable = true

[contract.examples]
work = [{items = ["one", "two", "three", "four"], partition = "p"}, {items = ["five", "six"], partition = "q"}]
"""


class OneKey:
    def work(self, items, partition, ctx):
        state, _ = ctx.checkpoint.load("now")
        results = state["results"] if state and state["run"] == [partition, items] else []
        for item in items[len(results) :]:
            results.append(f"{partition}/{item}")
            ctx.checkpoint.save("now", {"run": [partition, items], "results": results})
        return {"results": results, "count": len(results)}
