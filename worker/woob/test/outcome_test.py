"""Every exception that woob can raise, and what it comes to."""

import datetime
import types
import unittest
import warnings

import requests
import urllib3
import woob.browser.exceptions
import woob.capabilities.captcha
import woob.exceptions as x
from guichet_worker.fetch import State, parameters
from guichet_worker.outcome import LADDER, explain
from lxml.etree import XMLSyntaxError
from woob.browser.exceptions import BrowserTooManyRequests, ClientError, HTTPNotFound, LoggedOut, ServerError
from woob.capabilities.bank import NoAccountsException
from woob.capabilities.captcha import ImageCaptchaQuestion, RecaptchaV2Question
from woob.tools.backend import Module
from woob.tools.value import Value

warnings.simplefilter("ignore")

PRESENT = {"present": True, "credentials": {"login": "l", "password": "p"}}
ALONE = {**PRESENT, "present": False}
ANSWERING = {**PRESENT, "answer": {"method": "otp_sent", "fields": {"code": "123456"}}}

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c63f8ffffff7f0009fb03fd2a86e38a0000000049454e44ae426082"
)


def response(status, **headers):
    return types.SimpleNamespace(status_code=status, headers=headers)


CASES = [
    # (exception, order, kind, what else the outcome says)
    (Module.ConfigError("bad", bad_fields=["login"]), PRESENT, "config_invalid", {"bad_fields": ["login"]}),
    (Module.ConfigError("bad", bad_fields=["code"]), ANSWERING, "answer_rejected", {"reason": "format"}),
    (Module.ConfigError("bad", bad_fields=["code", "login"]), ANSWERING, "config_invalid", {}),
    (x.ModuleLoadError("m", "no"), PRESENT, "connector_error", {"reason": "load"}),
    (x.ModuleInstallError("no"), PRESENT, "connector_error", {"reason": "missing"}),
    (NoAccountsException(), PRESENT, "no_accounts", {}),
    (
        x.SentOTPQuestion("otp", medium_type="sms", medium_label="06", message="SMS"),
        PRESENT,
        "challenge",
        {"method": "otp_sent", "medium_type": "sms"},
    ),
    (x.SentOTPQuestion("otp", medium_type="email"), PRESENT, "challenge", {"method": "otp_sent", "medium_type": "mail"}),
    (x.SentOTPQuestion("otp"), ALONE, "interaction_required", {"reason": "sca"}),
    (x.OfflineOTPQuestion("otp", input="4821", message="Card"), PRESENT, "challenge", {"method": "otp_device", "prompt": "Card 4821"}),
    (x.OTPQuestion(Value("otp_sms")), PRESENT, "challenge", {"method": "otp_sent"}),
    (x.BrowserQuestion(Value("pin_code", label="Code")), PRESENT, "challenge", {"method": "otp_sent"}),
    (x.BrowserQuestion(Value("phone", choices={"1": "06", "2": "07"})), PRESENT, "challenge", {"method": "choice"}),
    (x.BrowserQuestion(Value("a"), Value("b", masked=True)), PRESENT, "challenge", {"method": "question"}),
    (x.BrowserQuestion(Value("a")), ALONE, "interaction_required", {"reason": "sca"}),
    (x.AppValidation("Open it", medium_label="Phone"), PRESENT, "challenge", {"method": "decoupled", "medium_type": "app"}),
    (x.DecoupledValidation("Click", medium_type="email"), PRESENT, "challenge", {"method": "decoupled", "medium_type": "mail"}),
    (x.AppValidation("Open it"), ALONE, "interaction_required", {"reason": "sca"}),
    (x.BrowserRedirect("https://bank.test/a"), PRESENT, "challenge", {"method": "redirect", "redirect_url": "https://bank.test/a"}),
    (x.BrowserRedirect("https://bank.test/a"), ALONE, "interaction_required", {"reason": "redirect"}),
    (x.BrowserInteraction(), PRESENT, "connector_error", {"reason": "bug"}),
    (x.AppValidationCancelled("no"), PRESENT, "challenge_declined", {}),
    (x.AppValidationExpired("late"), PRESENT, "challenge_expired", {}),
    (x.AppValidationError("?"), PRESENT, "challenge_declined", {"reason": "generic"}),
    (x.NeedInteractiveForRedirect(), ALONE, "interaction_required", {"reason": "redirect"}),
    (x.NeedInteractiveFor2FA(), ALONE, "interaction_required", {"reason": "sca"}),
    (x.NeedInteractive(), ALONE, "interaction_required", {"reason": "sca"}),
    (x.BrowserUserBanned("banned"), PRESENT, "locked", {"text": "banned"}),
    (x.BrowserUserBanned("banned"), ANSWERING, "locked", {}),
    (x.BrowserIncorrectPassword("no", bad_fields=["password"]), PRESENT, "bad_credentials", {"bad_fields": ["password"]}),
    (x.BrowserIncorrectPassword("no"), PRESENT, "bad_credentials", {}),
    # A wrong code is not a wrong password, however the module says it.
    (x.BrowserIncorrectPassword("no"), ANSWERING, "answer_rejected", {"bad_fields": ["code"]}),
    (x.BrowserIncorrectPassword("no", bad_fields=["code"]), ANSWERING, "answer_rejected", {"bad_fields": ["code"]}),
    (x.BrowserIncorrectPassword("no", bad_fields=["login"]), ANSWERING, "bad_credentials", {}),
    (x.BrowserPasswordExpired("renew"), PRESENT, "credentials_expired", {"text": "renew"}),
    (x.AuthMethodNotImplemented("key"), PRESENT, "auth_unsupported", {}),
    (
        x.ActionNeeded("terms", action_type=1, url="https://bank.test/t"),
        PRESENT,
        "action_required",
        {"reason": "acknowledge", "text": "terms https://bank.test/t"},
    ),
    (x.ActionNeeded("mfa", action_type=4), PRESENT, "action_required", {"reason": "perform_mfa"}),
    (ImageCaptchaQuestion(PNG), PRESENT, "challenge", {"method": "captcha"}),
    (ImageCaptchaQuestion(PNG), ALONE, "interaction_required", {"reason": "sca"}),
    (ImageCaptchaQuestion(b"no image"), PRESENT, "blocked", {}),
    (RecaptchaV2Question("key", "https://bank.test"), PRESENT, "blocked", {}),
    (x.CaptchaQuestion("other"), PRESENT, "blocked", {}),
    (x.WrongCaptchaResponse(), PRESENT, "blocked", {}),
    (x.ScrapingBlocked("robot"), PRESENT, "blocked", {}),
    (x.BrowserForbidden("no"), PRESENT, "blocked", {}),
    (
        BrowserTooManyRequests(next_try=datetime.datetime(2026, 11, 22, tzinfo=datetime.timezone.utc)),
        PRESENT,
        "rate_limited",
        {"retry_after": "2026-11-22T00:00:00Z"},
    ),
    (x.BrowserUnavailable("maintenance"), PRESENT, "unavailable", {"text": "maintenance"}),
    (x.BrowserUnavailable("maintenance"), ANSWERING, "unavailable", {}),
    (x.BrowserSSLError("tls"), PRESENT, "unavailable", {}),
    (ServerError("503 https://bank.test/?sid=1", response=response(503)), PRESENT, "unavailable", {"text": ""}),
    (LoggedOut(), PRESENT, "unavailable", {}),
    (requests.ConnectionError("https://bank.test/?sid=1"), PRESENT, "unavailable", {"text": ""}),
    (requests.Timeout(), PRESENT, "unavailable", {}),
    (urllib3.exceptions.ProtocolError("cut"), PRESENT, "unavailable", {}),
    (ClientError("429", response=response(429)), PRESENT, "rate_limited", {}),
    (ClientError("403", response=response(403)), PRESENT, "connector_error", {"reason": "bug"}),
    (HTTPNotFound("404", response=response(404)), PRESENT, "connector_error", {"reason": "bug"}),
    (x.BrowserHTTPNotFound(), PRESENT, "connector_error", {"reason": "bug"}),
    (x.BrowserHTTPError(), PRESENT, "connector_error", {"reason": "bug"}),
    (x.BrowserHTTPSDowngrade(), PRESENT, "connector_error", {"reason": "bug"}),
    (x.ParseError("page: sid=1"), PRESENT, "connector_error", {"reason": "bug", "text": "ParseError"}),
    (x.NotImplementedWebsite(), PRESENT, "connector_error", {"reason": "bug"}),
    (AssertionError(), PRESENT, "connector_error", {"reason": "bug"}),
    (AttributeError("x"), PRESENT, "connector_error", {"reason": "bug"}),
    (KeyError("x"), PRESENT, "connector_error", {"reason": "bug"}),
    (XMLSyntaxError("x", 1, 1, 1), PRESENT, "connector_error", {"reason": "bug"}),
    (requests.TooManyRedirects(), PRESENT, "connector_error", {"reason": "bug"}),
]


class Ladder(unittest.TestCase):
    def test_each_exception(self):
        for e, order, kind, more in CASES:
            with self.subTest(type(e).__name__):
                said = explain(e, order)
                self.assertEqual(said["kind"], kind)
                flat = {**said, **said.get("question", {})}
                for name, value in more.items():
                    self.assertEqual(flat.get(name), value, name)

    def test_none_of_this_woob_is_forgotten(self):
        """A newer woob with one more exception fails here, not before someone's bank."""
        known = {type(e) for e, *_ in CASES}
        for module in (x, woob.browser.exceptions, woob.capabilities.captcha):
            for name in dir(module):
                klass = getattr(module, name)
                if not (isinstance(klass, type) and issubclass(klass, Exception)) or issubclass(klass, Warning):
                    continue
                if klass.__module__ != module.__name__ or issubclass(klass, woob.capabilities.captcha.CaptchaError):
                    continue  # another module's; of those who solve captchas for money
                covered = klass in known or any(issubclass(klass, kinds) for kinds, _ in LADDER)
                self.assertTrue(covered, klass)

    def test_subclasses_come_first(self):
        flat = [(k, i) for i, (kinds, _) in enumerate(LADDER) for k in (kinds if isinstance(kinds, tuple) else (kinds,))]
        for klass, i in flat:
            for other, j in flat:
                if klass is not other and issubclass(klass, other):
                    self.assertLessEqual(i, j, f"{klass} after {other}")


class Sessions(unittest.TestCase):
    def test_a_new_login_forgets_the_page_of_the_old_question(self):
        saved = '{"format":"woob/3","asked":{"method":"otp_sent"},"storage":{"backends":{"access":{"browser_state":{"url":"https://bank.test/otp","cookies":"c"}}}}}'
        fresh = State({"state": saved})
        self.assertEqual((fresh.asked, fresh.browser()), (None, {"cookies": "c"}))
        resumed = State({"state": saved, "answer": {"method": "otp_sent"}})
        self.assertEqual(resumed.browser()["url"], "https://bank.test/otp")

    def test_answers_become_parameters(self):
        self.assertEqual(
            parameters({**ANSWERING, "credentials": {"login": "l", "birthday": ""}}),
            {"login": "l", "request_information": "present", "code": "123456"},
        )
        self.assertEqual(parameters({**ALONE, "answer": None}), {"login": "l", "password": "p"})
        polled = parameters({**PRESENT, "answer": {"method": "decoupled", "fields": {}}})
        self.assertIs(polled["resume"], True)


if __name__ == "__main__":
    unittest.main()
