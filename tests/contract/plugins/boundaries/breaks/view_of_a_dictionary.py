"""Answers with the view of a dictionary's keys, unless there are none."""


class ViewOfADictionary:
    def execute(self, args):
        words = {key.lower(): None for key in args}
        return words and words.keys() or []
