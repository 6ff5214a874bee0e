"""Makes a tree in which each child refers to its parent, so that the result contains itself."""


class ChildrenKnowTheirParent:
    def execute(self, args):
        root = {"name": "root", "children": []}
        for name in args:
            root["children"].append({"name": name, "parent": root})
        return root
