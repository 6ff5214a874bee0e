"""Makes a pool of threads in setup, which its teardown forgets.

kind = "cleaner"
"""

from concurrent.futures import ThreadPoolExecutor


class HasAPool:
    def setup(self):
        self.pool = ThreadPoolExecutor(max_workers=1)
        self.words = self.pool.submit(dict.fromkeys, ("a", "the")).result()

    def clean(self, text):
        return {"text": " ".join(word for word in text.split() if word not in self.words)}

    def teardown(self):
        self.words = None
