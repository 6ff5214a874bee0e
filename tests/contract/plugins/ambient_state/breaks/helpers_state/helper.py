width = 40


def folded(text):
    return "\n".join(text[start : start + width] for start in range(0, len(text), width))
