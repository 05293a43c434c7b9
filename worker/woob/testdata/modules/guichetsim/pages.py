import re
from datetime import timedelta
from decimal import Decimal

from woob.browser.elements import ItemElement, ListElement, method
from woob.browser.filters.html import Attr
from woob.browser.filters.standard import CleanDecimal, CleanText, Date
from woob.browser.pages import HTMLPage, JsonPage, LoggedPage
from woob.capabilities.bank import Account, AccountType, Transaction
from woob.capabilities.base import NotAvailable, empty
from woob.tools.date import now_as_utc


class Page(HTMLPage):
    def build_doc(self, content):
        # A parser would mend half a page, and the rest would be missed without a word.
        assert content.rstrip().endswith(b"</html>"), "a page is cut before its end"
        content.decode("utf-8")
        return super().build_doc(content)

    def title(self):
        return CleanText("//h1")(self.doc)

    def message(self):
        return CleanText('//p[@class="message"]')(self.doc)

    def alert(self):
        return CleanText('//p[@class="alerte"]')(self.doc)

    def is_stale(self):
        return "plus valable" in self.alert()

    def token(self, action):
        return Attr(f'//form[@action="{action}"]//input[@name="jeton"]', "value")(self.doc)

    def expires_at(self):
        left = re.search(r"expire dans (\d+) min (\d+) s", self.message())
        return now_as_utc() + timedelta(minutes=int(left[1]), seconds=int(left[2])) if left else None


class LoginPage(Page):
    # The bank says what is wrong on a page of its own, at the same address.
    is_here = '//form[@action="/login"]'

    def sign_in(self, login, password):
        form = self.get_form(xpath='//form[@action="/login"]')
        form["identifiant"], form["secret"] = login, password
        form.submit()


class ChoicePage(Page):
    is_here = '//form[@action="/choice"]'

    def ways(self):
        """What can be chosen, in the bank's words."""
        found = self.doc.xpath('//form[@action="/choice"]//label[input[@type="radio" and @name="moyen"]]')
        assert found, "a choice without ways to confirm"
        return {Attr("./input", "value")(label): CleanText(".")(label) for label in found}


class CodePage(Page):
    is_here = '//form[@action="/otp" or @action="/otp/send"]'

    def was_sent(self):
        return bool(self.doc.xpath('//form[@action="/otp"]'))

    def send(self):
        self.get_form(xpath='//form[@action="/otp/send"]').submit()
        # What follows is the browser's page.

    def medium(self):
        """How the code was sent, and where to."""
        found = re.search(r"par (SMS|courriel) (?:au|à) (.+?)\. ", self.message())
        return (found[1], found[2]) if found else (None, None)


class AppPage(Page):
    is_here = '//form[@action="/app" or @action="/app/finish"]'

    def demand(self):
        return Attr('//form[@action="/app/finish"]//input[@name="id"]', "value", default="")(self.doc)

    def send(self):
        self.get_form(xpath='//form[@action="/app"]').submit()

    def device(self):
        found = re.search("« (.+?) »", self.message())
        return found[1] if found else None


class AppStatusPage(JsonPage):
    def status(self):
        return self.doc["status"]


class CaptchaPage(Page):
    is_here = '//form[@action="/captcha"]'


class RedirectPage(Page):
    is_here = '//a[starts-with(@href, "/authorize?")]'

    def address(self):
        return self.absurl(Attr('//a[starts-with(@href, "/authorize?")]', "href")(self.doc))


class TermsPage(Page):
    pass


class PasswordPage(Page):
    pass


class NoticePage(Page):
    pass


class AccountsPage(LoggedPage, Page):
    @method
    class iter_accounts(ListElement):
        item_xpath = '//table[@class="comptes"]/tbody/tr'

        class item(ItemElement):
            klass = Account

            def obj_id(self):
                return re.fullmatch(r"/accounts/([A-Za-z0-9-]{1,64})/history", Attr('./td[@class="nom"]/a', "href")(self))[1]

            obj_label = CleanText('./td[@class="nom"]/a')
            obj_number = CleanText('./td[@class="numero"]')
            obj_balance = CleanDecimal.French('./td[starts-with(@class, "montant")]/text()')
            obj_currency = "EUR"

            def obj__attached(self):
                # "rattachée au compte n° 57356899331"
                return CleanText('./td[@class="nom"]/span[@class="rattachement"]', default="")(self).rpartition(" ")[2]

            def obj__card(self):
                return CleanText('./td[@class="nom"]/a')(self).startswith("Carte ")

            def obj_type(self):
                label = CleanText('./td[@class="nom"]/a')(self)
                for start, kind in (
                    ("Carte ", AccountType.CARD),
                    ("Compte courant", AccountType.CHECKING),
                    ("Compte joint", AccountType.JOINT),
                    ("Livret A", AccountType.LIVRET_A),
                ):
                    if label.startswith(start):
                        return kind
                return AccountType.UNKNOWN

    def build_doc(self, content):
        doc = super().build_doc(content)
        assert doc.xpath('//table[@class="comptes"]'), "no list of accounts"
        return doc


class HistoryPage(LoggedPage, Page):
    def build_doc(self, content):
        doc = super().build_doc(content)
        assert doc.xpath('//dl[@class="resume"]'), "a history without account"
        assert doc.xpath('//table[@class="operations"]') or doc.xpath('//p[@class="vide"]'), "no operations"
        return doc

    def pages(self):
        return int(re.fullmatch(r"Page \d+ sur (\d+)", CleanText('//nav[@class="pages"]/span')(self.doc))[1])

    def fill_account(self, account):
        account.balance = CleanDecimal.French('//dl[@class="resume"]//dd[starts-with(@class, "solde")]')(self.doc)
        account.iban = CleanText('//dl[@class="resume"]//dd[@class="iban"]', replace=[(" ", "")], default=NotAvailable)(self.doc)

    @method
    class iter_history(ListElement):
        item_xpath = '//table[@class="operations"]/tbody/tr'

        class item(ItemElement):
            klass = Transaction

            obj_id = CleanText('./td[@class="reference"]', default="")
            obj_date = Date(CleanText('./td[@class="date"]'), dayfirst=True)
            obj_vdate = Date(CleanText('./td[@class="valeur"]', default=""), dayfirst=True, default=NotAvailable)
            obj_rdate = Date(CleanText('./td[@class="achat"]', default=""), dayfirst=True, default=NotAvailable)
            obj_raw = CleanText('./td[@class="libelle"]/text()')
            obj_label = CleanText('./td[@class="libelle"]/text()')
            obj_amount = CleanDecimal.French('./td[starts-with(@class, "montant")]')

            def obj_type(self):
                raw = CleanText('./td[@class="libelle"]/text()')(self)
                if not empty(self.obj.rdate):
                    return Transaction.TYPE_DEFERRED_CARD
                for start, kind in (
                    ("CARTE ", Transaction.TYPE_CARD),
                    ("RELEVE DIFFERE", Transaction.TYPE_CARD_SUMMARY),
                    ("PRLV ", Transaction.TYPE_ORDER),
                    ("VIR INSTANTANE", Transaction.TYPE_INSTANT),
                    ("VIR ", Transaction.TYPE_TRANSFER),
                    ("RETRAIT", Transaction.TYPE_WITHDRAWAL),
                    ("CHEQUE", Transaction.TYPE_CHECK),
                    ("COTISATION", Transaction.TYPE_BANK),
                ):
                    if raw.startswith(start):
                        return kind
                return Transaction.TYPE_UNKNOWN

            def foreign(self):
                detail = CleanText('./td[@class="libelle"]/span[@class="precision"]', default="")(self)
                return re.search(r"origine\s?:\s?([\d\s,.]+?)\s([A-Z]{3}) \(1 EUR", detail)

            def obj_original_amount(self):
                found = self.foreign()
                return Decimal(re.sub(r"\s", "", found[1]).replace(",", ".")) if found else NotAvailable

            def obj_original_currency(self):
                found = self.foreign()
                return found[2] if found else NotAvailable
