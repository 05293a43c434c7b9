"""A module whose form has every kind of field, and which prints where it must not."""

from woob.capabilities.bank import CapBank
from woob.tools.backend import BackendConfig, Module
from woob.tools.value import Value, ValueBackendPassword, ValueBool, ValueTransient

print("a module prints on the output")


class ChoosyModule(Module, CapBank):
    NAME = "choosy"
    DESCRIPTION = "Choosy"
    CONFIG = BackendConfig(
        Value("website", label="Site", choices={"par": "Particuliers", "pro": "Professionnels"}, default="par"),
        ValueBackendPassword("login", label="Identifiant", masked=False, regexp=r"\d{8}"),
        ValueBackendPassword("password", label="Code secret"),
        ValueBool("joint", label="Compte joint", default=False),
        Value("birthday", label="Date de naissance", required=False, default=""),
        ValueTransient("code"),
        Value("_proxy", default=""),
    )
