"""Works on several threads at once, and puts the parts together in the order of the text.

kind = "transform"
execution_model = "thread_cpu_bound"

[resources]
required = ["clock", "rng"]

[unit_of_work]
declared = true
idempotency_mode = "output_hash"
"""

from concurrent.futures import ThreadPoolExecutor, as_completed


class Parts:
    def transform(self, text):
        words = text.split()
        with ThreadPoolExecutor(4) as pool:
            found = {pool.submit(str.upper, word): place for place, word in enumerate(words)}
            for done in as_completed(found):
                words[found[done]] = done.result()
            made = " ".join([*words, *pool.map(str.lower, words)])
        return {"text": made, "length": len(made)}
