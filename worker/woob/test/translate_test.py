"""Accounts and operations, in the words of Guichet."""

import datetime
import unittest
from decimal import Decimal

from guichet_worker.translate import ACCOUNT_TYPES, KINDS, TRANSACTION_TYPES, account, transaction
from woob.capabilities.bank import Account, Transaction
from woob.capabilities.base import NotAvailable


def operation(**fields):
    t = Transaction()
    t.date, t.raw, t.label, t.amount = datetime.date(2026, 11, 20), "CB  CAFE", "Café", Decimal("-1.50")
    for name, value in fields.items():
        setattr(t, name, value)
    return t


class Translation(unittest.TestCase):
    def test_every_type_of_account_has_a_kind(self):
        self.assertEqual(set(ACCOUNT_TYPES.values()) - set(KINDS) - {"UNKNOWN"}, set())
        self.assertEqual(len(ACCOUNT_TYPES), 30)
        self.assertEqual(len(TRANSACTION_TYPES), 18)

    def test_account(self):
        a = Account()
        a.id, a.label, a.type, a.balance, a.currency = "a1", " Livret  A ", Account.TYPE_LIVRET_A, Decimal("10.005"), "EUR"
        warnings = []
        said = account(a, lambda *w: warnings.append(w))
        self.assertEqual((said["kind"], said["subtype"], said["balance"], said["label"]), ("savings", "livret_a", "10.00", "Livret A"))
        self.assertEqual(warnings, [])
        a.balance, a.currency = NotAvailable, NotAvailable
        said = account(a, lambda *w: warnings.append(w))
        self.assertEqual((said["balance"], said["currency"]), ("0.00", "EUR"))
        self.assertEqual(warnings, [("currency_assumed", "a1"), ("balance_unavailable", "a1")])
        a.balance, a.currency = Decimal("1500"), "JPY"
        self.assertEqual(account(a, None)["balance"], "1500")

    def test_operation(self):
        said = transaction(operation(rdate=datetime.datetime(2026, 11, 19, 23, 59), type=Transaction.TYPE_CARD), "EUR", False)
        self.assertEqual((said["booked_on"], said["done_on"], said["value_on"]), ("2026-11-20", "2026-11-19", ""))
        self.assertEqual((said["status"], said["type"], said["amount"], said["raw_label"]), ("booked", "card", "-1.50", "CB  CAFE"))
        self.assertEqual(transaction(operation(coming=True), "EUR", False)["status"], "scheduled")
        self.assertEqual(transaction(operation(), "EUR", True)["status"], "scheduled")
        said = transaction(operation(original_amount=Decimal("2"), original_currency="usd"), "EUR", False)
        self.assertEqual((said["original_amount"], said["original_currency"]), ("-2.00", "USD"))
        said = transaction(operation(date=NotAvailable, bdate=datetime.date(2026, 11, 18)), "EUR", False)
        self.assertEqual(said["booked_on"], "2026-11-18")

    def test_amounts_are_numbers(self):
        for bad in ("NaN", "Infinity"):
            with self.assertRaises(ValueError):
                transaction(operation(amount=Decimal(bad)), "EUR", False)
        # Not rounded here: an amount with more decimals than its currency is refused where it is read.
        self.assertEqual(transaction(operation(amount=Decimal("1E-7")), "EUR", False)["amount"], "0.0000001")


if __name__ == "__main__":
    unittest.main()
