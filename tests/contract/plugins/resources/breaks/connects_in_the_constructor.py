"""Asks a server for news in its constructor, and goes on if nobody answers.

kind = "transform"
"""

from contextlib import closing
from http.client import HTTPConnection, HTTPException


class AsksWhenMade:
    def __init__(self):
        self.news = b""
        with closing(HTTPConnection("127.0.0.1", 9)) as connection:
            try:
                connection.request("GET", "/news")
                self.news = connection.getresponse().read()
            except (OSError, HTTPException):
                pass

    def transform(self, text):
        return {"text": text.replace("\t", " ")}
