def shouted(text):
    return text.upper()


class Shouting:
    def change(self, text):
        raise NotImplementedError

    def transform(self, text, times=1):
        changed = self.change(text) * times
        return {"text": changed, "length": len(changed)}
