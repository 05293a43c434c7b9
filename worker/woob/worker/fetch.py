"""One run at a bank: one login at most, and all data of the scope."""

import datetime
import json

import urllib3.util.retry
from dateutil import parser
from woob.capabilities.base import empty
from woob.core import WoobBase
from woob.exceptions import ModuleInstallError

from .outcome import bug, explain, instant
from .translate import account, transaction

BACKEND = "access"  # under this name woob keeps its session: it must not change
FORMAT = "woob/3"
BATCH = 200
SOON = datetime.timedelta(minutes=30)

# A bank that says "in an hour" is not waited for here, with a person before a page:
# when to come back is decided by whoever started us.
urllib3.util.retry.Retry.RETRY_AFTER_STATUS_CODES = frozenset()


class Storage:
    """Where a module keeps what it needs again: a dictionary, and nothing on disk."""

    def __init__(self, values):
        self.values = values

    def load(self, what, name, default=None):
        self.values.setdefault(what, {}).setdefault(name, {} if default is None else dict(default))

    def save(self, what, name):
        pass

    def set(self, what, name, *args):
        *path, value = args
        at = self.values.setdefault(what, {}).setdefault(name, {})
        for part in path[:-1]:
            at = at.setdefault(part, {})
        at[path[-1]] = value

    def delete(self, what, name, *args):
        *path, last = args
        at = self.values.get(what, {}).get(name, {})
        for part in path:
            at = at.get(part, {})
        at.pop(last, None)

    def get(self, what, name, *args, default=None):
        at = self.values.get(what, {}).get(name, {})
        for part in args:
            if not isinstance(at, dict) or part not in at:
                return default
            at = at[part]
        return at


class State:
    """What survives between two runs: the module's session, and the question it was left at."""

    def __init__(self, order):
        self.storage, self.asked = {}, None
        try:
            saved = json.loads(order.get("state") or "{}")
            if saved.get("format") == FORMAT:
                self.storage, self.asked = saved["storage"], saved.get("asked")
        except (ValueError, TypeError, KeyError, AttributeError):
            pass  # the worst that follows is a question asked again
        if order.get("answer") is None and self.asked:
            # A new login. Going back to the page of the old question could ask it again.
            self.asked = None
            self.browser().pop("url", None)

    def browser(self):
        kept = self.storage.get("backends", {}).get(BACKEND, {}).get("browser_state")
        return kept if isinstance(kept, dict) else {}

    def expires(self):
        """When the session ends by the module's own word; None when it has none."""
        try:
            at = parser.parse(self.browser().get("expire") or "")
        except (ValueError, OverflowError, TypeError):
            return None
        return at.astimezone(datetime.timezone.utc)

    def expired(self):
        at = self.expires()
        return at is not None and at < datetime.datetime.now(datetime.timezone.utc)

    def save(self, asked=None):
        return json.dumps({"format": FORMAT, "storage": self.storage, "asked": asked}, default=str)


def parameters(order):
    """The configuration of the module: the form, who is there, and the answer."""
    config = {k: v for k, v in (order.get("credentials") or {}).items() if v != ""}
    if order["present"]:
        config["request_information"] = "present"
    answer = order.get("answer")
    if answer:
        if answer["method"] == "decoupled":
            config["resume"] = True
        config.update({k: v.strip() for k, v in (answer.get("fields") or {}).items()})
    return config


def fetch(folder, order, wire):
    """Runs, and returns the last word."""
    state = State(order)
    answer = order.get("answer")
    if answer and (not state.asked or state.expired() or answer.get("resend")):
        # The session went with the question. Logging in again would ask a second
        # time for an answer that is already typed.
        return {"outcome": {"kind": "challenge_expired"}}
    wire.progress("starting")
    backend = None
    try:
        backend = build(folder, order, state)
        with backend:
            result = Reading(backend, order, wire).all()
    except (Exception, SystemExit) as e:
        result = explain(e, order)
    if backend is not None:
        try:
            with backend:
                backend.deinit()  # this is what writes the session down
        except Exception as e:
            if result["kind"] in ("ok", "partial", "challenge"):
                bug(e, order)  # data is good without it
    return conclude(result, state)


def build(folder, order, state):
    woob = WoobBase(modules_path=folder)
    name = order["institution"]
    if not woob.modules_loader.module_exists(name):
        raise ModuleInstallError("no such module")  # it was there when the access was opened
    return woob.build_backend(name, parameters(order), storage=Storage(state.storage), name=BACKEND)


def conclude(result, state):
    end = {"outcome": result}
    kind = result["kind"]
    if kind == "challenge":
        q = result["question"]
        expires = state.expires()
        soon = datetime.datetime.now(datetime.timezone.utc) + SOON
        if "deadline" not in q and expires and expires < soon:
            q["deadline"] = instant(expires)
        end["state"] = state.save({"method": q["method"], "fields": [f["id"] for f in q["fields"]]})
        if "deadline" in q:
            end["state_expires"] = q["deadline"]
    elif kind in ("ok", "partial", "no_accounts"):
        end["state"] = state.save()
        if state.expires():
            end["state_expires"] = instant(state.expires())
    return end


class Reading:
    """Takes the data of one login."""

    def __init__(self, backend, order, wire):
        self.backend, self.order, self.wire = backend, order, wire
        self.gaps = 0

    def warn(self, code, ref):
        self.wire.emit("warning", code=code, account=ref)

    def gap(self, code, ref):
        self.gaps += 1
        self.warn(code, ref)

    def all(self):
        answer = self.order.get("answer")
        waiting = bool(answer) and answer["method"] == "decoupled"
        with self.wire.ticking("waiting_user" if waiting else "authenticating"):
            # The first account comes after the login, and so do its exceptions.
            accounts = [a for a in each(self.backend.iter_accounts)]
        self.wire.progress("listing")
        if not accounts:
            return {"kind": "no_accounts"}
        only = self.order.get("account") if self.order["op"] == "balance" else None
        done = failures = 0
        for i, a in enumerate(accounts):
            self.wire.progress("fetching", i, len(accounts))
            if only and a.id != only:
                continue
            done += 1
            said = self.account(a)
            if only:
                continue
            try:
                self.history(a, said["currency"])
            except NotImplementedError:
                self.gap("history_unavailable", said["ref"])
            except Exception as e:
                meaning = explain(e, self.order)
                if meaning["kind"] != "connector_error":
                    return meaning  # the bank stops us: the others would not come either
                failures += 1
                self.gap("history_failed", said["ref"])
        if only and not done:
            self.gap("account_missing", only)
        if failures and failures == done:
            return meaning
        self.wire.progress("finishing", len(accounts), len(accounts))
        return {"kind": "partial" if self.gaps else "ok"}

    def account(self, a):
        try:
            self.backend.fillobj(a, ["iban", "currency", "balance"])
        except NotImplementedError:
            pass
        said = account(a, self.warn)
        if not said["ref"]:
            raise ValueError("an account has no id")
        now = self.order.get("now")
        if now:
            said["as_of"] = now
        self.wire.emit("account", **said)
        return said

    def history(self, a, currency):
        ref = a.id
        seen = set()
        since = self.order.get("since") or ""
        self.batches(ref, self.recent(each(self.backend.iter_history, a), since), currency, False, seen)
        try:
            self.batches(ref, each(self.backend.iter_coming, a), currency, True, seen)
        except NotImplementedError:
            pass  # many modules say all in one list

    def recent(self, operations, since):
        """Those since a day. Newest come first, but for a few that banks date back."""
        older = 0
        for t in operations:
            when = t.date if not empty(t.date) else t.rdate
            if since and not empty(when) and when.strftime("%Y-%m-%d") < since:
                older += 1
                if older > 50:
                    return
                continue
            yield t

    def batches(self, ref, operations, currency, coming, seen):
        batch = []
        for t in operations:
            item = transaction(t, currency, coming)
            if not item["booked_on"] and item["status"] == "booked":
                self.gap("transaction_without_day", ref)
                continue
            if item["ref"] in seen:
                item["ref"] = ""  # one id for two is none
            elif item["ref"]:
                seen.add(item["ref"])
            batch.append(item)
            if len(batch) == BATCH:
                self.wire.emit("transactions", account=ref, items=batch)
                batch = []
        if batch:
            self.wire.emit("transactions", account=ref, items=batch)


def each(method, *args):
    """What a method of a module lists; some return nothing, some a list."""
    yield from method(*args) or ()
