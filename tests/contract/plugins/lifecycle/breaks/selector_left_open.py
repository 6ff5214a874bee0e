"""Closes the pipe that it watches, but not the selector, which is a descriptor too."""

import os
import selectors


class Watches:
    def setup(self):
        self.ends = os.pipe()
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.ends[0], selectors.EVENT_READ)

    def execute(self, args):
        return {"arguments": len(args)}

    def teardown(self):
        self.selector.unregister(self.ends[0])
        for end in self.ends:
            os.close(end)
