"""Looks for a shared library by a function of the standard library, which runs ldconfig for that."""

import ctypes.util


class LooksForALibrary:
    def setup(self):
        self.library = ctypes.util.find_library("c")

    def execute(self, args):
        return {"arguments": len(args), "native": False}
