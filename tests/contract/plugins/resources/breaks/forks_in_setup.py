"""Starts a process by multiprocessing in setup, and waits for its end there.

kind = "splitter"
supports_extensions = [".txt"]
"""

import multiprocessing


class ForksInSetup:
    def setup(self):
        process = multiprocessing.get_context("fork").Process(target=int)
        process.start()
        process.join()
        process.close()

    def split(self, text):
        return {"parts": text.split(" ")}
