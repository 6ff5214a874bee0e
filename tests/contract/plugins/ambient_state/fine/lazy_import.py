"""Imports modules of the standard library in the hook, of which some read the environment meanwhile.

kind = "transform"
"""


class ImportsLate:
    def transform(self, text):
        import difflib
        import secrets
        import statistics

        lengths = [len(word) for word in text.split()] or [0]
        mirrored = secrets.compare_digest(text.encode(), text[::-1].encode())
        alike = difflib.SequenceMatcher(None, text, text[::-1]).ratio()
        made = f"{statistics.mean(lengths):.3f} {alike:.3f} {mirrored}"
        return {"text": made, "length": len(made)}
