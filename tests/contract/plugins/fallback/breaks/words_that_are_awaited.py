"""Refuses a line that is too long for it by an error of its own, in a coroutine.

kind = "chunker"
fallback = true
execution_model = "async"
"""


class LineTooLong(Exception): ...


class WordsThatAreAwaited:
    async def chunk(self, text):
        chunks, place = [], 0
        for line in text.split("\n"):
            if await self.checked(line):
                chunks.append({"text": line, "offset": place})
            place += len(line) + 1
        return chunks

    async def checked(self, line):
        if len(line) > 0x10000:
            raise LineTooLong(len(line))
        return line
