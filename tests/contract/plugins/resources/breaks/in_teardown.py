"""Runs a shell in teardown, through the module that os is built on."""

import posix


class FlushesByShell:
    def execute(self, args):
        return sorted(args)

    def teardown(self):
        posix.system(":")
