"""Makes a pool of threads in each call, which is gone when the call is.

kind = "job"
execution_model = "thread_cpu_bound"
"""

from concurrent.futures import ThreadPoolExecutor


class MakesPools:
    def work(self, items, partition):
        with ThreadPoolExecutor(max_workers=2) as pool:
            results = list(pool.map(str.casefold, items))
        return {"results": results, "count": len(results)}
