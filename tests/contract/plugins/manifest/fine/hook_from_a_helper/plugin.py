from . import helper
from .helper import Shouting


class HookFromAHelper(Shouting):
    def change(self, text):
        return helper.shouted(text)
