"""Waits in a plain hook for news from a queue that nobody fills, and swallows that there are none."""

import queue


class WaitsForNews:
    def setup(self):
        self.news = queue.SimpleQueue()

    def execute(self, args):
        try:
            news = self.news.get(timeout=0.02)
        except queue.Empty:
            news = None
        return {"arguments": len(args), "news": news}
