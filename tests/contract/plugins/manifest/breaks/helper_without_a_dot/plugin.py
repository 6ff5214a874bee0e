from field_counting import counted


class HelperWithoutADot:
    def execute(self, args):
        return counted(args)
