"""Replaces tabs by spaces in a thread, up to eight for one.

kind = "cleaner"
execution_model = "thread_cpu_bound"

[contract.examples]
clean = [{text = "a\\tb"}, {text = "\\t\\t\\t\\t\\t\\t\\t\\t\\t\\t\\t\\t\\t\\t\\t\\t"}]
"""

import threading


class TabsInAThread:
    def clean(self, text):
        result = {}
        thread = threading.Thread(target=lambda: result.update(text=text.expandtabs()))
        thread.start()
        thread.join()
        return result
