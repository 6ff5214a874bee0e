"""Implements the hook and forgets a second abstract method of its base, so that no object can be made of it."""

from abc import ABC, abstractmethod


class Normalising(ABC):
    @abstractmethod
    def normalise(self, name): ...

    @abstractmethod
    def execute(self, args): ...


class OneMethodStillAbstract(Normalising):
    def normalize(self, name):
        return name.strip().lower()

    def execute(self, args):
        return {"names": [self.normalise(name) for name in sorted(args)]}
