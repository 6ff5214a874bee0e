"""Makes objects that refer to each other, which stay until the garbage collector comes.

kind = "transform"
"""


class Node:
    def __init__(self, name, parent=None):
        self.name = name
        self.parent = parent
        self.children = []
        self.shout = lambda: self.name.upper()


class MakesCycles:
    def setup(self):
        self.root = Node("root")
        self.root.children = [Node(f"child {number}", self.root) for number in range(20)]

    def transform(self, text):
        child = self.root.children[len(text) % 20]
        return {"text": child.shout(), "length": len(child.parent.children)}

    def teardown(self):
        self.root = None
