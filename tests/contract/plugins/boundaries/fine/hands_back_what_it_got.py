"""Answers with the very object that it got, which is JSON and stays as it was."""


class HandsBackWhatItGot:
    def execute(self, args):
        return args
