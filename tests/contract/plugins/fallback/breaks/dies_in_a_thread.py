"""Splits in a thread that dies of an empty text without a word, and misses its answer.

kind = "splitter"
fallback = true
execution_model = "thread_cpu_bound"
"""

import threading


class DiesInAThread:
    def split(self, text):
        answers = []
        thread = threading.Thread(target=self.work, args=(text, answers))
        thread.start()
        thread.join()
        return {"parts": answers[0]}

    def work(self, text, answers):
        lines = text.splitlines()
        try:
            width = max(map(len, lines))
        except ValueError:
            return
        answers.append([line for line in lines if len(line) * 2 >= width])
