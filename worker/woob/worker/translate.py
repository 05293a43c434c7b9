"""Accounts and transactions of woob, in the words of Guichet. Amounts stay exact decimals."""

import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from woob.capabilities.bank import AccountType, TransactionType
from woob.capabilities.base import empty

# Decimals of a currency, two unless said here (ISO 4217).
DIGITS = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}

KINDS = {
    "CHECKING": "cash", "DEPOSIT": "cash", "JOINT": "cash",
    "SAVINGS": "savings", "LDDS": "savings", "PEL": "savings", "CSL": "savings", "CEL": "savings", "CAT": "savings",
    "LIVRET_A": "savings", "LIVRET_B": "savings",
    "CARD": "card",
    "LOAN": "loan", "MORTGAGE": "loan", "CONSUMER_CREDIT": "loan", "REVOLVING_CREDIT": "loan",
    "MARKET": "investment", "PEE": "investment", "PERCO": "investment", "ARTICLE_83": "investment", "RSP": "investment",
    "PEA": "investment", "PER": "investment", "PERP": "investment", "MADELIN": "investment", "REAL_ESTATE": "investment",
    "CROWDLENDING": "investment",
    "LIFE_INSURANCE": "insurance", "CAPITALISATION": "insurance",
}  # fmt: skip

# These say no more than their kind.
PLAIN = {"CHECKING", "SAVINGS", "CARD", "LOAN", "MARKET", "UNKNOWN"}

TYPES = {
    "ORDER": "direct_debit", "PAYBACK": "refund", "BANK": "fee", "INSTANT": "instant_transfer",
}  # fmt: skip


def names(klass):
    """Names of an enumeration by value: the numbers grow with each version of woob."""
    members = getattr(klass, "__members__", None) or {k: v for k, v in vars(klass).items() if k.isupper()}
    return {getattr(v, "value", v): k for k, v in members.items()}


ACCOUNT_TYPES = names(AccountType)
TRANSACTION_TYPES = names(TransactionType)


def text(value):
    return "" if empty(value) else " ".join(str(value).split())


def day(value):
    """A civil day, whether woob says a date or an instant."""
    if empty(value) or not isinstance(value, datetime.date):
        return ""
    return value.strftime("%Y-%m-%d") if value.year >= 1000 else ""


def decimal(value, currency, exact):
    """A number as its currency writes it. Valuations are rounded, payments never are."""
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    if not number.is_finite():
        raise ValueError("an amount is no number")
    if not exact:
        number = number.quantize(Decimal(1).scaleb(-DIGITS.get(currency, 2)), rounding=ROUND_HALF_EVEN)
    return format(number, "f")


def currency_of(value, otherwise):
    code = text(value).upper()
    return code if len(code) == 3 and code.isascii() and code.isalpha() else otherwise


def account(a, warn):
    ref = text(a.id)
    kind = ACCOUNT_TYPES.get(getattr(a.type, "value", a.type), "UNKNOWN")
    currency = currency_of(a.currency, "")
    if not currency:
        currency = "EUR"
        warn("currency_assumed", ref)
    balance = next((v for v in (a.balance, a.coming) if not empty(v)), None)
    if balance is None:
        balance = Decimal(0)
        warn("balance_unavailable", ref)
    parent = a.parent
    return {
        "ref": ref,
        "label": text(a.label),
        "number": text(a.number),
        "iban": text(a.iban).replace(" ", ""),
        "kind": KINDS.get(kind, "other"),
        "subtype": "" if kind in PLAIN else kind.lower(),
        "parent": "" if empty(parent) else text(parent.id),
        "balance": decimal(balance, currency, exact=False),
        "currency": currency,
    }


def transaction(t, currency, coming):
    kind = TRANSACTION_TYPES.get(getattr(t.type, "value", t.type), "UNKNOWN")
    booked = next((d for d in map(day, (t.date, t.bdate, t.rdate, t.vdate)) if d), "")
    scheduled = coming or (not empty(t.coming) and bool(t.coming))
    item = {
        "ref": text(t.id),
        "status": "scheduled" if scheduled else "booked",
        "type": TYPES.get(kind, kind.lower()),
        "raw_label": text(t.label) if empty(t.raw) else str(t.raw).strip(),
        "label": text(t.label),
        "amount": decimal(t.amount, currency, exact=True),
        "currency": currency,
        "booked_on": booked,
        "done_on": day(t.rdate),
        "value_on": day(t.vdate),
    }
    foreign = currency_of(t.original_currency, "")
    if foreign and not empty(t.original_amount):
        amount = abs(Decimal(str(t.original_amount))).copy_sign(t.amount)
        item["original_amount"], item["original_currency"] = decimal(amount, foreign, exact=False), foreign
    return item
