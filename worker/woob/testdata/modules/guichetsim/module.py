from woob.capabilities.bank import Account, CapBank
from woob.tools.backend import BackendConfig, Module
from woob.tools.value import Value, ValueBackendPassword, ValueTransient

from .browser import GuichetSimBrowser

__all__ = ["GuichetSimModule"]


class GuichetSimModule(Module, CapBank):
    NAME = "guichetsim"
    DESCRIPTION = "Banque des Tests (woob)"
    MAINTAINER = "Guichet"
    EMAIL = "guichet@guichet.test"
    LICENSE = "LGPLv3+"
    BROWSER = GuichetSimBrowser

    CONFIG = BackendConfig(
        ValueBackendPassword("login", label="Identifiant", masked=False, regexp=r".{1,64}"),
        ValueBackendPassword("password", label="Mot de passe"),
        Value("website", label="Adresse de la banque", default="http://127.0.0.1:8090", required=False),
        ValueTransient("request_information"),
        ValueTransient("resume"),
        ValueTransient("way"),
        ValueTransient("code", regexp=r"^\d{6}$"),
        ValueTransient("auth_uri"),
        ValueTransient("captcha_response"),
    )

    def create_default_browser(self):
        return self.create_browser(
            self.config, self.config["login"].get(), self.config["password"].get(), baseurl=self.config["website"].get()
        )

    def iter_accounts(self):
        return self.browser.iter_accounts()

    def iter_history(self, account):
        return self.browser.iter_history(account)

    def iter_coming(self, account):
        return self.browser.iter_coming(account)

    def fill_account(self, account, fields):
        # The list has no IBAN, and the balance of the account's own page is the newest.
        self.browser.fill(account)

    OBJECTS = {Account: fill_account}
