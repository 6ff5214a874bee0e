"""Imports all that could open sockets and start processes, and uses their constants and tables only.

kind = "transform"
"""

import http.client
import multiprocessing
import os
import socket
import subprocess


class ImportsOnly:
    def setup(self):
        self.families = (socket.AF_INET, socket.AF_INET6)
        self.refused = (OSError, subprocess.SubprocessError, multiprocessing.ProcessError)

    def transform(self, text):
        told = http.client.responses.get(len(text), "unknown")
        return {"text": told + os.sep, "length": len(self.families) + len(self.refused)}
