package api_test

import (
	"testing"
	"time"

	"guichet/store/storetest"
)

// TestDisableOverHTTP: disabled, an access keeps its data and asks for credentials
// before anything is fetched again.
func TestDisableOverHTTP(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		c := newCounter(t, db)
		made := c.create("otp")
		id := made.text("access.id")
		c.call("PUT", "/api/accesses/"+id+"/fetch/accounts?wait=30", answering("123456")).is(200, "")
		one := func() map[string]any {
			t.Helper()
			all := c.call("GET", "/api/all", "").is(200, "")
			if len(all.at("accounts").([]any)) == 0 || len(all.at("transactions").([]any)) == 0 {
				t.Errorf("its data is gone: %.200s", all.raw)
			}
			return all.at("accesses").([]any)[0].(map[string]any)
		}
		before := one()
		if before["trusted_until"] == nil || before["strong_at"] == nil || before["trust_ends_in"] != nil {
			t.Errorf("%v %v %v", before["trusted_until"], before["strong_at"], before["trust_ends_in"])
		}
		db.Clock.Advance(170 * 24 * time.Hour)
		if soon := one(); soon["trust_ends_in"] != float64(10) {
			t.Errorf("trust ends in %v", soon["trust_ends_in"])
		}
		off := c.call("PATCH", "/api/accesses/"+id, `{"disabled":true}`).is(200, "")
		if off.text("state") != "disabled" || off.text("paused") != "disabled" || off.at("trusted_until") != nil || off.at("next_poll") != nil {
			t.Errorf("%s", off.raw)
		}
		if n := db.Value("SELECT CAST(SUM(LENGTH(credentials) + LENGTH(session)) AS TEXT) FROM accesses"); n != "0" {
			t.Errorf("%s bytes of secrets are still there", n)
		}
		if one()["state"] != "disabled" {
			t.Error("not shown as disabled")
		}
		for _, address := range []string{"/api/accesses/" + id + "/fetch/accounts", "/api/accesses/" + id + "/fetch/operations"} {
			c.call("PUT", address, "").is(422, "credentials_needed")
		}
		c.call("PATCH", "/api/accesses/"+id, `{"disabled":false}`).is(422, "credentials_needed")
		logins := c.site.Counters("").Logins
		c.call("PUT", "/api/accesses/"+id+"/fetch/accounts?wait=30", `{"credentials":{"login":"otp","password":"faux"}}`).is(422, "bad_credentials")
		if one()["state"] != "disabled" {
			t.Error("a refusal enabled it")
		}
		asked := c.call("PUT", "/api/accesses/"+id+"/fetch/accounts?wait=30", `{"credentials":{"login":"otp","password":"demonstration"}}`).is(202, "")
		if asked.text("attempt.state") != "waiting" {
			t.Fatalf("%s", asked.raw)
		}
		c.call("PUT", "/api/accesses/"+id+"/fetch/accounts?wait=30", answering("123456")).is(200, "")
		if got := one(); got["state"] != "ready" || got["paused"] != nil || got["next_poll"] == nil {
			t.Errorf("%v, %v", got["state"], got["paused"])
		}
		if n := c.site.Counters("").Logins - logins; n != 2 {
			t.Errorf("%d logins", n)
		}
	})
}

// TestReturnOverHTTP: an address that a program gives for a bank's own site is
// refused when it is of another question, and costs nothing.
func TestReturnOverHTTP(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		c := newCounter(t, db)
		made := c.create("redirect")
		answer := "/api/challenges/" + made.text("attempt.challenge.id") + "/answer?wait=30"
		for _, hostile := range []string{
			"https://guichet.test/init/new-bank/return?code=x&state=theirs", "https://elsewhere.test/?error=access_denied&state=",
			"/init/new-bank/return?code=x&state=" + made.text("attempt.challenge.id"),
		} {
			c.call("POST", answer, `{"fields":{"url":"`+hostile+`"}}`).is(422, "return_refused")
		}
		now := c.call("GET", "/api/attempts/"+made.text("attempt.id"), "").is(200, "")
		if now.at("challenge.version") != made.at("attempt.challenge.version") || now.text("state") != "waiting" {
			t.Errorf("%s", now.raw)
		}
		if n := c.site.Counters("redirect"); n.RedirectsDone+n.RedirectsDenied != 0 || n.Logins != 1 {
			t.Errorf("the bank saw %+v", n)
		}
	})
}
