"""What an exception of woob or of a module means, in the nineteen outcomes of Guichet."""

import base64
import datetime
import io
import traceback

import requests
import urllib3
from woob.browser.exceptions import BrowserTooManyRequests, ClientError, HTTPNotFound, LoggedOut, ServerError
from woob.capabilities.bank import NoAccountsException
from woob.capabilities.captcha import ImageCaptchaQuestion
from woob.exceptions import (
    ActionNeeded,
    ActionType,
    AppValidationCancelled,
    AppValidationError,
    AppValidationExpired,
    AuthMethodNotImplemented,
    BrowserForbidden,
    BrowserIncorrectPassword,
    BrowserInteraction,
    BrowserPasswordExpired,
    BrowserQuestion,
    BrowserRedirect,
    BrowserUnavailable,
    BrowserUserBanned,
    CaptchaQuestion,
    DecoupledValidation,
    ModuleInstallError,
    ModuleLoadError,
    NeedInteractive,
    NeedInteractiveForRedirect,
    OfflineOTPQuestion,
    OTPQuestion,
    ScrapingBlocked,
    SentOTPQuestion,
    WrongCaptchaResponse,
)
from woob.tools.backend import Module

from .describe import choices, field

# Fields that modules ask for when they mean a code, and say so no better.
CODES = {
    "code", "otp", "otp_sms", "otp_email", "otp_emv", "otp_app", "sms", "smscode", "sms_code", "email_code", "pin_code", "sca_code",
    "otp_code", "code_sms", "verification_code", "security_code",
}  # fmt: skip

MEDIA = {"sms": "sms", "phone_call": "call", "mobile_app": "app", "email": "mail", "device": "device"}

ACTIONS = {v: k.lower() for k, v in vars(ActionType).items() if k.isupper()}


def outcome(kind, e=None, **more):
    """An outcome with what the bank said, when it said something."""
    words = "" if e is None else " ".join(str(e).split())
    return {"kind": kind, "text": words[:300], **more}


def explain(e, order):
    """The outcome of an exception. Subclasses come before what they derive from."""
    for kinds, mean in LADDER:
        if isinstance(e, kinds):
            return mean(e, order)
    return bug(e, order)


def bug(e, order, reason="bug"):
    # What it says may hold a page of the bank: an operator finds it in the log.
    traceback.print_exception(e)
    return {"kind": "connector_error", "reason": reason, "text": type(e).__name__}


def instant(when):
    """An instant as the protocol writes it; woob's own are local when they have no zone."""
    if not isinstance(when, datetime.datetime):
        return None
    return when.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def retry_after(e):
    """What the answer of a server says of when to come back."""
    told = getattr(getattr(e, "response", None), "headers", {}).get("Retry-After", "")
    if told.isascii() and told.isdigit() and len(told) < 6:
        return instant(datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=int(told)))
    return None


def later(e):
    at = retry_after(e)
    return {"retry_after": at} if at else {}


def unavailable(e, order):
    # The words of a library tell a person nothing, and hold addresses.
    said = outcome("unavailable", e, **later(e))
    if isinstance(e, (requests.RequestException, urllib3.exceptions.HTTPError)):
        said["text"] = ""
    return said


def too_many(e, order):
    return outcome("rate_limited", e, retry_after=instant(e.next_try))


def client_error(e, order):
    if getattr(getattr(e, "response", None), "status_code", None) == 429:
        return {"kind": "rate_limited", **later(e)}
    return bug(e, order)


def wrong(e, order):
    """A wrong code is nearly always told as a wrong password: who was answered decides."""
    bad = [f for f in e.bad_fields or () if f]
    answered = (order.get("answer") or {}).get("method")
    if answered and not set(bad) & set(order.get("credentials") or {}):
        return outcome("answer_rejected", e, bad_fields=bad or list(order["answer"].get("fields") or {}))
    return outcome("bad_credentials", e, bad_fields=bad)


def config_error(e, order):
    bad = [f for f in e.bad_fields or () if f]
    typed = (order.get("answer") or {}).get("fields") or {}
    if bad and set(bad) <= set(typed):
        return {"kind": "answer_rejected", "reason": "format", "bad_fields": bad}
    return {"kind": "config_invalid", "bad_fields": bad}


def action(e, order):
    reason = ACTIONS.get(e.action_type, "")
    said = outcome("action_required", e, reason=reason)
    if e.url:
        said["text"] = f"{said['text']} {e.url}".strip()[:500]
    return said


def ask(e, order):
    """A question; or, when nobody is there, that there would be one."""
    if not order["present"]:
        return {"kind": "interaction_required", "reason": "redirect" if isinstance(e, BrowserRedirect) else "sca"}
    return {"kind": "challenge", "question": question(e)}


def question(e):
    q = {"prompt": str(getattr(e, "message", "") or "")[:500], "fields": []}
    deadline = instant(getattr(e, "expires_at", None))
    if deadline:
        q["deadline"] = deadline
    medium = getattr(e, "medium_type", None)
    q["medium_type"] = MEDIA.get(medium, "")
    q["medium"] = str(getattr(e, "medium_label", None) or "")[:100]
    if isinstance(e, BrowserRedirect):
        q.update(method="redirect", redirect_url=e.url, fields=[typed("auth_uri", "Adresse de retour")])
    elif isinstance(e, DecoupledValidation):
        q["method"] = "decoupled"
    elif isinstance(e, ImageCaptchaQuestion):
        q.update(method="captcha", image=png(e.image_data), fields=[typed("captcha_response", "Caractères de l’image")])
    else:
        q["fields"] = [field(v) for v in e.fields]
        q["method"] = method(e)
        for f in q["fields"]:
            f["required"] = True
            if len(q["fields"]) == 1 and isinstance(e, OTPQuestion):
                # woob has one text for the question and its field.
                q["prompt"], f["label"] = q["prompt"] or ("" if f["label"] == f["id"] else f["label"]), "Code"
        if isinstance(e, OfflineOTPQuestion) and e.input:
            q["prompt"] = f"{q['prompt']} {e.input}".strip()[:500]
    return q


def typed(name, label):
    return {"id": name, "label": label, "masked": False, "choices": [], "pattern": "", "required": True}


def method(e):
    if isinstance(e, SentOTPQuestion):
        return "otp_sent"
    if isinstance(e, OfflineOTPQuestion):
        return "otp_device"
    if len(e.fields) == 1:
        if choices(e.fields[0]):
            return "choice"
        if e.fields[0].id in CODES:
            return "otp_sent"
    return "question"


def png(data):
    from PIL import Image

    out = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        image.convert("RGBA").save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode("ascii")


def captcha(e, order):
    if not order["present"]:
        return ask(e, order)
    try:
        return ask(e, order)
    except Exception:
        traceback.print_exc()
        return outcome("blocked")


def fixed(kind, **more):
    return lambda e, order: outcome(kind, e, **more)


def load(e, order):
    return bug(e, order, "load")


def missing(e, order):
    return bug(e, order, "missing")


LADDER = [
    (Module.ConfigError, config_error),
    (ModuleLoadError, load),
    (ModuleInstallError, missing),
    (NoAccountsException, fixed("no_accounts")),
    ((BrowserQuestion, DecoupledValidation, BrowserRedirect), ask),
    (BrowserInteraction, bug),
    (AppValidationCancelled, fixed("challenge_declined")),
    (AppValidationExpired, fixed("challenge_expired")),
    (AppValidationError, fixed("challenge_declined", reason="generic")),
    (NeedInteractiveForRedirect, fixed("interaction_required", reason="redirect")),
    (NeedInteractive, fixed("interaction_required", reason="sca")),
    (BrowserUserBanned, fixed("locked")),
    (BrowserIncorrectPassword, wrong),
    (BrowserPasswordExpired, fixed("credentials_expired")),
    (AuthMethodNotImplemented, fixed("auth_unsupported")),
    (ActionNeeded, action),
    (ImageCaptchaQuestion, captcha),
    ((CaptchaQuestion, WrongCaptchaResponse, ScrapingBlocked, BrowserForbidden), fixed("blocked")),
    (BrowserTooManyRequests, too_many),
    ((BrowserUnavailable, ServerError, LoggedOut), unavailable),
    ((requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError), unavailable),
    (urllib3.exceptions.HTTPError, unavailable),
    (HTTPNotFound, bug),
    (ClientError, client_error),
]
