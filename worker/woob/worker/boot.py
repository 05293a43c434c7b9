"""Makes a package of the sources that were given on descriptor 3, and runs it."""

import importlib.abc
import importlib.util
import sys

NAME = "guichet_worker"


class Sources(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    def __init__(self, texts):
        self.texts = texts

    def find_spec(self, fullname, path=None, target=None):
        if fullname == NAME:
            return importlib.util.spec_from_loader(fullname, self, is_package=True)
        package, _, part = fullname.rpartition(".")
        if package == NAME and part in self.texts:
            return importlib.util.spec_from_loader(fullname, self)
        return None

    def is_package(self, fullname):
        return fullname == NAME

    def get_code(self, fullname):
        return compile(self.get_source(fullname), fullname.replace(".", "/") + ".py", "exec")

    def get_source(self, fullname):
        return self.texts.get(fullname.rpartition(".")[2], "")


sys.meta_path.insert(0, Sources(sources))  # noqa: F821, set by whoever runs this text
importlib.import_module(NAME + ".main").main()
