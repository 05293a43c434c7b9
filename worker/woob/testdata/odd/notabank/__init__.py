from woob.tools.backend import Module


class NotABankModule(Module):
    NAME = "notabank"
    DESCRIPTION = "Reads no bank"
