from woob.tools.backend import Module


class NeedyModule(Module):
    NAME = "needy"
