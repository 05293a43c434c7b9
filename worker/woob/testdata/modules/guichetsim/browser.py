import time
from urllib.parse import parse_qs, urlsplit

from woob.browser import URL, need_login
from woob.browser.exceptions import ServerError
from woob.browser.mfa import TwoFactorBrowser
from woob.browser.pages import RawPage
from woob.capabilities.bank import NoAccountsException
from woob.capabilities.base import NotAvailable
from woob.capabilities.captcha import ImageCaptchaQuestion
from woob.exceptions import (
    ActionNeeded,
    ActionType,
    AppValidation,
    AppValidationCancelled,
    AppValidationExpired,
    BrowserIncorrectPassword,
    BrowserPasswordExpired,
    BrowserQuestion,
    BrowserRedirect,
    BrowserUnavailable,
    BrowserUserBanned,
    NeedInteractiveForRedirect,
    OTPSentType,
    ScrapingBlocked,
    SentOTPQuestion,
)
from woob.tools.value import Value

from .pages import (
    AccountsPage,
    AppPage,
    AppStatusPage,
    CaptchaPage,
    ChoicePage,
    CodePage,
    HistoryPage,
    LoginPage,
    NoticePage,
    PasswordPage,
    RedirectPage,
    TermsPage,
)


class GuichetSimBrowser(TwoFactorBrowser):
    BASEURL = "http://127.0.0.1:8090"
    HAS_CREDENTIALS_ONLY = True
    STATE_DURATION = 5
    TWOFA_DURATION = 60 * 24 * 180
    SKIP_LOCATE_BROWSER_ON_CONFIG_VALUES = ("way", "code", "resume", "auth_uri", "captcha_response")
    __states__ = ("form_token", "app_id")

    login = URL(r"/login$", r"/login\?", LoginPage)
    choice = URL(r"/choice$", ChoicePage)
    send_code = URL(r"/otp/send$", CodePage)
    code_page = URL(r"/otp$", CodePage)
    app = URL(r"/app$", AppPage)
    app_finish = URL(r"/app/finish$", AppPage)
    app_status = URL(r"/app/status\?id=(?P<demand>.+)", AppStatusPage)
    captcha_page = URL(r"/captcha$", CaptchaPage)
    captcha_image = URL(r"/captcha\.png", RawPage)
    redirect = URL(r"/redirect$", RedirectPage)
    callback = URL(r"/redirect/callback\?code=(?P<answer>.+)", RedirectPage)
    terms = URL(r"/terms$", TermsPage)
    password_page = URL(r"/password$", PasswordPage)
    accounts = URL(r"/accounts$", AccountsPage)
    history = URL(r"/accounts/(?P<account>[^/]+)/history(\?page=\d+)?", HistoryPage)
    coming = URL(r"/accounts/(?P<account>[^/]+)/coming", HistoryPage)
    notice = URL(r"/.*", NoticePage)

    def __init__(self, config, *args, **kwargs):
        super().__init__(config, *args, **kwargs)
        self.form_token = None
        self.app_id = None
        self.AUTHENTICATION_METHODS = {
            "way": self.handle_choice,
            "code": self.handle_code,
            "resume": self.handle_polling,
            "auth_uri": self.handle_redirect,
            "captcha_response": self.handle_captcha,
        }

    def clear_init_cookies(self):
        # The device is known by its cookie: without it, the bank would ask each time.
        device = self.session.cookies.get("device")
        self.session.cookies.clear()
        if device:
            self.session.cookies.set("device", device)

    def init_login(self):
        self.login.go()
        self.page.sign_in(self.username, self.password)
        self.follow()

    def follow(self):
        """Goes on from the page that a login or an answer led to."""
        page = self.page
        if isinstance(page, AccountsPage):
            return
        if isinstance(page, LoginPage):
            if "incorrect" in page.alert():
                raise BrowserIncorrectPassword(page.alert(), bad_fields=["login", "password"])
            raise BrowserUnavailable(page.alert())
        if isinstance(page, PasswordPage):
            raise BrowserPasswordExpired(page.message())
        if isinstance(page, TermsPage):
            raise ActionNeeded(page.message(), locale="fr-FR", action_type=ActionType.ACKNOWLEDGE)
        if isinstance(page, ChoicePage):
            self.check_interactive()
            self.form_token = page.token("/choice")
            raise BrowserQuestion(Value("way", label=page.message(), choices=page.ways()))
        if isinstance(page, CodePage):
            self.ask_code()
        if isinstance(page, AppPage):
            self.ask_app()
        if isinstance(page, RedirectPage):
            if not self.is_interactive:
                raise NeedInteractiveForRedirect()
            raise BrowserRedirect(page.address())
        if isinstance(page, CaptchaPage):
            self.check_interactive()
            self.form_token = page.token("/captcha")
            raise ImageCaptchaQuestion(self.captcha_image.open().content)
        self.stop(page)

    def stop(self, page):
        title = page.title()
        if title == "Accès bloqué":
            raise BrowserUserBanned(page.message())
        if title == "Connexion interrompue":
            raise ScrapingBlocked(page.message())
        if title == "Autorisation refusée":
            raise AppValidationCancelled(page.message())
        raise AssertionError(f"unexpected page {title!r}")

    def ask_code(self):
        # Up to here nobody was disturbed: the bank sends a code when its button is pressed.
        self.check_interactive()
        if not self.page.was_sent():
            self.page.send()
        self.form_token = self.page.token("/otp")
        medium, address = self.page.medium()
        raise SentOTPQuestion(
            "code",
            medium_type=OTPSentType.EMAIL if medium == "courriel" else OTPSentType.SMS,
            medium_label=address,
            message=self.page.message(),
            expires_at=self.page.expires_at(),
        )

    def handle_choice(self):
        data = {"jeton": self.form_token, "moyen": self.config["way"].get()}
        self.choice.go(data=data)
        if isinstance(self.page, ChoicePage) and self.page.is_stale():
            data["jeton"] = self.page.token("/choice")
            self.choice.go(data=data)
        if isinstance(self.page, ChoicePage):
            raise BrowserIncorrectPassword(self.page.alert(), bad_fields=["way"])
        if isinstance(self.page, LoginPage):
            raise AppValidationExpired(self.page.alert())
        # An earlier choice may have been taken and its answer lost: what the bank sent then is asked about.
        self.follow()

    def handle_code(self):
        data = {"jeton": self.form_token, "code": self.config["code"].get()}
        self.code_page.go(data=data)
        if isinstance(self.page, CodePage) and self.page.is_stale():
            # The answer to an earlier try was lost on its way: its form is out of date.
            data["jeton"] = self.page.token("/otp")
            self.code_page.go(data=data)
        if isinstance(self.page, CodePage):
            alert = self.page.alert()
            if not self.page.was_sent() or "expiré" in alert:
                raise AppValidationExpired(alert)
            raise BrowserIncorrectPassword(alert)  # as most modules do: nothing says that it was the code
        if isinstance(self.page, LoginPage):
            raise AppValidationExpired(self.page.alert())
        self.follow()

    def ask_app(self):
        self.check_interactive()
        if not self.page.demand():
            self.page.send()
        self.app_id, self.form_token = self.page.demand(), self.page.token("/app/finish")
        raise AppValidation(self.page.message(), medium_label=self.page.device(), expires_at=self.page.expires_at())

    def handle_polling(self):
        for _ in range(600):
            try:
                status = self.app_status.go(demand=self.app_id).status()
            except ServerError:
                status = "pending"
            if status != "pending":
                break
            time.sleep(1)
        self.location("/app")
        if isinstance(self.page, AppPage) and self.page.demand():
            self.app_finish.go(data={"jeton": self.page.token("/app/finish"), "id": self.page.demand()})
        if isinstance(self.page, AppPage):
            if "refusé" in self.page.alert():
                raise AppValidationCancelled(self.page.alert())
            raise AppValidationExpired(self.page.alert())
        if isinstance(self.page, LoginPage):
            raise AppValidationExpired(self.page.alert())
        self.follow()

    def handle_redirect(self):
        uri = self.config["auth_uri"].get()
        query = parse_qs(urlsplit(uri).query)
        if "error" in query:
            raise AppValidationCancelled("")
        self.callback.go(answer=query["code"][0] if "code" in query else uri)
        if isinstance(self.page, RedirectPage):
            raise BrowserIncorrectPassword(self.page.alert())
        if isinstance(self.page, LoginPage):
            raise AppValidationExpired(self.page.alert())
        self.follow()

    def handle_captcha(self):
        self.captcha_page.go(data={"jeton": self.form_token, "reponse": self.config["captcha_response"].get()})
        if isinstance(self.page, LoginPage):
            raise AppValidationExpired(self.page.alert())
        self.follow()

    @need_login
    def iter_accounts(self):
        self.accounts.stay_or_go()
        found = list(self.page.iter_accounts())
        if not found:
            raise NoAccountsException()
        for account in found:
            account.parent = next((a for a in found if account._attached and a.number == account._attached), NotAvailable)
        return found

    @need_login
    def iter_history(self, account):
        number = 1
        while True:
            self.location(f"/accounts/{account.id}/history?page={number}")
            self.check_reading()
            self.page.fill_account(account)
            yield from self.page.iter_history()
            if number >= self.page.pages():
                return
            number += 1

    @need_login
    def iter_coming(self, account):
        if not account._card:
            return
        self.coming.go(account=account.id)
        self.check_reading()
        for operation in self.page.iter_history():
            operation.coming = True
            yield operation

    @need_login
    def fill(self, account):
        self.location(f"/accounts/{account.id}/history")
        self.check_reading()
        self.page.fill_account(account)

    def check_reading(self):
        if isinstance(self.page, LoginPage):
            raise BrowserUnavailable(self.page.alert())  # it forgot our session while we read
        if not isinstance(self.page, HistoryPage):
            self.stop(self.page)
