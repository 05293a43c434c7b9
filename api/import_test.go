package api_test

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"guichet"
	"guichet/grant"
	"guichet/store/storetest"
)

// earlier is the service before, in another language: it signs with HMAC, says no
// kid and no typ, and knows nothing of us.
const earlier = `
import base64, hashlib, hmac, json, sys
def part(b): return base64.urlsafe_b64encode(b).rstrip(b"=")
secret, id = sys.argv[1].encode(), sys.argv[2]
claims = {"uid": id, "jti": id, "scopes": ["entreprises", "open_data"], "sub": "Marchés publics", "extra_info": {}, "iat": 1735689600, "version": "1.0", "exp": 1830297600}
signed = part(json.dumps({"alg": "HS256"}).encode()) + b"." + part(json.dumps(claims).encode())
print((signed + b"." + part(hmac.new(secret, signed, hashlib.sha256).digest())).decode(), end="")
`

func earlierToken(t *testing.T, secret, id string) string {
	t.Helper()
	out, err := exec.Command("python3", "-c", earlier, secret, id).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

const (
	liveID    = "7c1f0f4e-5a2b-4d1c-9b7e-0a4f6e2d1c30"
	blockedID = "7c1f0f4e-5a2b-4d1c-9b7e-0a4f6e2d1c31"
	laterID   = "7c1f0f4e-5a2b-4d1c-9b7e-0a4f6e2d1c32"
	sisterID  = "7c1f0f4e-5a2b-4d1c-9b7e-0a4f6e2d1c33"
)

const tokensCSV = `id,request,iat,exp,scopes,blocked_at,owner,title
` + liveID + `,3001,1735689600,1830297600,entreprises open_data,,Claire.Morel@valmont.fr,"Marchés, publics"
` + blockedID + `,3001,2024-01-01T00:00:00Z,1830297600,entreprises,2025-06-01 10:00:00.5 UTC,claire.morel@valmont.fr,
` + laterID + `,3002,1735689600,1830297600,,2027-01-01T00:00:00+01:00,dsi@valmont.fr,Aides
`

// tokensJSON says the same as tokensCSV, and one thing more.
const tokensJSON = `[
  {"id": "` + liveID + `", "request": 3001, "iat": 1735689600, "exp": 1830297600, "scopes": ["entreprises", "open_data"], "blocked_at": null, "owner": "claire.morel@valmont.fr"},
  {"id": "` + blockedID + `", "request": "3001", "iat": "2024-01-01T00:00:00Z", "exp": 1830297600, "scopes": "entreprises", "blocked_at": 1748772000, "owner": "claire.morel@valmont.fr"},
  {"id": "` + sisterID + `", "request": "3001", "iat": 1735689601, "exp": 1830297600, "scopes": [], "blocked_at": null, "owner": "dsi@valmont.fr"}
]`

func (c *window) load(file string, dry bool) grant.ImportReport {
	c.t.Helper()
	tokens, err := grant.ReadTokenFile([]byte(file))
	if err != nil {
		c.t.Fatal(err)
	}
	report, err := c.desk.Import(c.t.Context(), guichet.System("test"), "api_local", tokens, dry)
	if err != nil {
		c.t.Fatal(err)
	}
	return report
}

func (c *window) says(jwt string) string {
	c.t.Helper()
	status, word, _ := c.ask("/check", "Authorization", "Bearer "+jwt)
	if status == 204 {
		return "ok"
	}
	return word
}

// A service changes over without giving out one token anew.
func TestTokensOfAnEarlierService(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		live, blocked, later := earlierToken(t, legacy, liveID), earlierToken(t, legacy, blockedID), earlierToken(t, legacy, laterID)
		if word := c.says(live); word != "invalid_token" {
			t.Errorf("before the import: %s", word)
		}
		want := grant.ImportReport{Tokens: 3, Requests: 2, Blocked: 1, Foreseen: 1}
		if got := c.load(tokensCSV, true); got != want {
			t.Errorf("dry: %+v", got)
		}
		if n := c.rows("tokens") + c.rows("requests") + c.rows("deliveries") + c.rows("audit_entries"); n != "0000" {
			t.Errorf("a dry run left %s", n)
		}
		if got := c.load(tokensCSV, false); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		for jwt, want := range map[string]string{live: "ok", blocked: "token_revoked", later: "ok", earlierToken(t, legacy+"x", liveID): "invalid_token"} {
			if got := c.says(jwt); got != want {
				t.Errorf("%s: want %s", got, want)
			}
		}
		request, err := c.desk.Store.Request(t.Context(), "api_local", "3001")
		if err != nil || request.Status != grant.Validated || request.Title != "Marchés, publics" || len(request.Contacts) != 1 || request.Contacts[0].Email != "claire.morel@valmont.fr" ||
			!request.ValidatedAt.Equal(time.Unix(1704067200, 0)) {
			t.Errorf("%+v %v", request, err)
		}
		// Again: nothing. With one more token: that one, and the others as they were.
		state := c.rows("tokens") + c.rows("requests") + c.rows("deliveries") + c.rows("audit_entries") + c.rows("blocklist")
		if got := c.load(tokensCSV, false); got != (grant.ImportReport{Known: 3}) {
			t.Errorf("again: %+v", got)
		}
		if again := c.rows("tokens") + c.rows("requests") + c.rows("deliveries") + c.rows("audit_entries") + c.rows("blocklist"); again != state {
			t.Errorf("again: %s, then %s", state, again)
		}
		if got := c.load(tokensJSON, false); got != (grant.ImportReport{Tokens: 1, Known: 2}) {
			t.Errorf("with one more: %+v", got)
		}
		// Blocked at the service before, since: a later file says so.
		if got := c.load(strings.Replace(tokensJSON, `"blocked_at": null`, `"blocked_at": 1760000000`, 1), false); got != (grant.ImportReport{Known: 3, Blocked: 1}) {
			t.Errorf("blocked since: %+v", got)
		}
		if word := c.says(live); word != "token_revoked" {
			t.Errorf("blocked since: %s", word)
		}
		// A file never gives back what was blocked.
		if got := c.load(tokensCSV, false); got != (grant.ImportReport{Known: 3}) || c.says(live) != "token_revoked" {
			t.Errorf("unblocked by a file: %+v", got)
		}
		// What is foreseen comes.
		c.db.Clock.Advance(60 * 24 * time.Hour)
		if _, _, err := c.desk.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if word := c.says(later); word != "token_revoked" {
			t.Errorf("after its date: %s", word)
		}
	})
}

// Whoever shares a secret makes tokens with it: only their own provider's count.
func TestSharedSecretIsForItsProvider(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		mine := c.send("approve", noon, 1) // of api_entreprise, which signs with a key of ours
		if word := c.says(earlierToken(t, legacy, mine)); word != "invalid_token" {
			t.Errorf("the gateway of api_local opened api_entreprise: %s", word)
		}
		c.load(tokensCSV, false)
		for name, jwt := range map[string]string{
			"HS512":            oldToken(`{"alg":"HS512"}`, liveID),
			"none":             oldToken(`{"alg":"none"}`, liveID),
			"EdDSA":            oldToken(`{"alg":"EdDSA"}`, liveID),
			"our kid":          oldToken(`{"alg":"HS256","kid":"`+c.key.KID+`"}`, liveID),
			"our kid, named":   oldToken(`{"alg":"EdDSA","kid":"`+c.key.KID+`","typ":"JWT"}`, liveID),
			"jku":              oldToken(`{"alg":"HS256","jku":"https://evil.example/jwks"}`, liveID),
			"jwk":              oldToken(`{"alg":"HS256","jwk":{"kty":"oct","k":"AA"}}`, liveID),
			"x5u":              oldToken(`{"alg":"HS256","x5u":"https://evil.example/c.pem"}`, liveID),
			"crit":             oldToken(`{"alg":"HS256","crit":["exp"]}`, liveID),
			"a list":           oldToken(`{"alg":"HS256","typ":"statuslist+jwt"}`, liveID),
			"id in upper case": oldToken(`{"alg":"HS256"}`, strings.ToUpper(liveID)),
		} {
			if word := c.says(jwt); word != "invalid_token" {
				t.Errorf("%s: %s", name, word)
			}
		}
		for name, jwt := range map[string]string{"as it was": oldToken(`{"alg":"HS256"}`, liveID), "with typ": oldToken(`{"typ":"JWT","alg":"HS256"}`, liveID)} {
			if word := c.says(jwt); word != "ok" {
				t.Errorf("%s: %s", name, word)
			}
		}
	})
}

// What is known of a request wins over the file: a token never comes alive under a
// request that was revoked, and one that was never validated here was, elsewhere.
func TestImportUnderKnownRequests(t *testing.T) {
	each(t, func(t *testing.T, c *window) {
		tokens := func(number string) []grant.IssuedToken {
			out, err := grant.ReadTokenFile([]byte(strings.ReplaceAll(tokensJSON, "3001", number)))
			if err != nil {
				t.Fatal(err)
			}
			return out[:1]
		}
		load := func(number string) grant.ImportReport {
			report, err := c.desk.Import(t.Context(), guichet.System("test"), "api_entreprise", tokens(number), false)
			if err != nil {
				t.Fatal(err)
			}
			return report
		}
		c.send("revoke", noon, 3001) // a tombstone
		if got := load("3001"); got != (grant.ImportReport{Tokens: 1, Blocked: 1}) {
			t.Errorf("under a revoked request: %+v", got)
		}
		if s := c.standing(liveID); s.BlockedAt.IsZero() || s.Status != grant.Revoked {
			t.Errorf("%+v", s)
		}
		// The same token under another number: one of the two is wrong.
		_, err := c.desk.Import(t.Context(), guichet.System("test"), "api_entreprise", tokens("3002"), false)
		if !errors.Is(err, grant.ErrTokenFile) || !strings.Contains(err.Error(), "another request") {
			t.Errorf("under another request: %v", err)
		}
		if _, err := c.desk.Import(t.Context(), guichet.System("test"), "nobody", tokens("3001"), false); !errors.Is(err, grant.ErrNoProvider) {
			t.Errorf("of nobody: %v", err)
		}
		c.send("submit", noon, 3003)
		file := strings.ReplaceAll(strings.ReplaceAll(tokensJSON, "3001", "3003"), "-9b7e-", "-9b7f-")
		more, err := grant.ReadTokenFile([]byte(file))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.desk.Import(t.Context(), guichet.System("test"), "api_entreprise", more, false); err != nil {
			t.Fatal(err)
		}
		request, err := c.desk.Store.Request(t.Context(), "api_entreprise", "3003")
		if err != nil || request.Status != grant.Validated || request.Contacts[0].GivenName != "Claire" || len(request.Live()) != 2 {
			t.Errorf("%+v %v", request, err)
		}
		c.send("revoke", noon+5, 3003)
		if request, err = c.desk.Store.Request(t.Context(), "api_entreprise", "3003"); err != nil || len(request.Live()) != 0 {
			t.Errorf("after its revoke: %+v %v", request, err)
		}
		id := guichet.ID(c.db.Value("SELECT id FROM deliveries WHERE event = 'import' LIMIT 1"))
		if _, err := c.desk.Replay(t.Context(), guichet.System("test"), id); !errors.Is(err, grant.ErrNoReplay) {
			t.Errorf("a replay of an import: %v", err)
		}
		if _, err := c.desk.Store.VerifyJournal(t.Context(), func(b grant.Break) { t.Errorf("broken: %+v", b) }, nil); err != nil {
			t.Error(err)
		}
	})
}

// One statement that fails, or a commit, leaves nothing of a file.
func TestImportIsWhole(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *storetest.DB) {
		c := open(t, db)
		tokens, err := grant.ReadTokenFile([]byte(tokensCSV))
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range []struct{ table, verb string }{
			{"requests", "INSERT"}, {"tokens", "INSERT"}, {"tokens", "UPDATE"}, {"deliveries", "INSERT"}, {"audit_entries", "INSERT"}, {"blocklist", "INSERT"},
		} {
			heal := db.FailStatement(fault.table, fault.verb)
			_, err := c.desk.Import(t.Context(), guichet.System("test"), "api_local", tokens, false)
			heal()
			if err == nil {
				t.Errorf("%s of %s failed and nobody noticed", fault.verb, fault.table)
			}
		}
		db.FailCommit(false)
		if _, err := c.desk.Import(t.Context(), guichet.System("test"), "api_local", tokens, false); err == nil {
			t.Error("a failed commit is no error")
		}
		if n := c.rows("tokens") + c.rows("requests") + c.rows("deliveries") + c.rows("audit_entries") + c.rows("blocklist"); n != "00000" {
			t.Errorf("left %s", n)
		}
	})
}

// A bad line is named by its number, quotes nothing of the file, and stops all.
func TestBadTokenFiles(t *testing.T) {
	t.Parallel()
	head := "id,request,iat,exp,scopes,blocked_at,owner\n"
	good := liveID + ",1,1735689600,1830297600,a,,a@b.fr\n"
	line := func(id, request, iat, exp, blocked, owner string) string {
		return head + good + fmt.Sprintf("%s,%s,%s,%s,a,%s,%s\n", id, request, iat, exp, blocked, owner)
	}
	for name, f := range map[string]struct{ file, field string }{
		"empty":               {"", "line 1"},
		"a missing column":    {"id,request,iat,exp,scopes,owner\n", "line 1, blocked_at"},
		"a misspelt column":   {"id,request,iat,exp,scopes,blockedat,owner\n", "line 1"},
		"a column twice":      {"id,request,iat,exp,scopes,blocked_at,owner,id\n", "line 1, id"},
		"too few":             {head + good + "canary\n", "line 3"},
		"a stray quote":       {head + good + "can\"ary,1,1,1,a,,b\n", "line 3"},
		"no UUID":             {line("canary", "2", "1735689600", "1830297600", "", "a@b.fr"), "line 3, id"},
		"UUID in upper case":  {line(strings.ToUpper(sisterID), "2", "1735689600", "1830297600", "", "a@b.fr"), "line 3, id"},
		"twice":               {line(liveID, "2", "1735689600", "1830297600", "", "a@b.fr"), "line 3, id"},
		"no request":          {line(sisterID, "", "1735689600", "1830297600", "", "a@b.fr"), "line 3, request"},
		"a path":              {line(sisterID, "../canary", "1735689600", "1830297600", "", "a@b.fr"), "line 3, request"},
		"no iat":              {line(sisterID, "2", "", "1830297600", "", "a@b.fr"), "line 3, iat"},
		"a word for exp":      {line(sisterID, "2", "1735689600", "canary", "", "a@b.fr"), "line 3, exp"},
		"exp in the year 2e5": {line(sisterID, "2", "1735689600", "9999999999999", "", "a@b.fr"), "line 3, exp"},
		"exp before iat":      {line(sisterID, "2", "1735689600", "1735689600", "", "a@b.fr"), "line 3, exp"},
		"a word for blocked":  {line(sisterID, "2", "1735689600", "1830297600", "canary", "a@b.fr"), "line 3, blocked_at"},
		"zero for blocked":    {line(sisterID, "2", "1735689600", "1830297600", "0", "a@b.fr"), "line 3, blocked_at"},
		"nobody":              {line(sisterID, "2", "1735689600", "1830297600", "", ""), "line 3, owner"},
		"no address":          {line(sisterID, "2", "1735689600", "1830297600", "", "canary"), "line 3, owner"},
		"not UTF-8":           {head + good + "\xff", "line 1"},
		"JSON cut":            {"[\n" + `{"id": "canary`, "line 2"},
		"JSON name twice":     {"[\n\n" + `{"id": "canary", "id": "x"}]`, "line 3"},
		"JSON of numbers":     {"[1]", "line 1"},
		"JSON and more":       {tokensJSON + "\n{}", "line 6"},
		"JSON without owner":  {"[\n" + `{"id":"` + liveID + `","request":1,"iat":1,"exp":2,"scopes":[],"blocked_at":null}]`, "line 2, owner"},
		"JSON without block":  {"[\n" + `{"id":"` + liveID + `","request":1,"iat":1,"exp":2,"scopes":[],"owner":"a@b.fr"}]`, "line 2, blocked_at"},
		"JSON blocked true":   {"[\n" + `{"id":"` + liveID + `","request":1,"iat":1,"exp":2,"scopes":[],"blocked_at":true,"owner":"a@b.fr"}]`, "line 2, blocked_at"},
	} {
		tokens, err := grant.ReadTokenFile([]byte(f.file))
		var e *guichet.Error
		if !errors.As(err, &e) || e.Code != "invalid_token_file" || e.Field != f.field || tokens != nil {
			t.Errorf("%s: %+v, want %s", name, e, f.field)
			continue
		}
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error quotes the file: %v", name, err)
		}
	}
	withBOM, err := grant.ReadTokenFile(append([]byte("\ufeff"), bytes.ReplaceAll([]byte(head+good), []byte("\n"), []byte("\r\n"))...))
	if err != nil || len(withBOM) != 1 || withBOM[0].Line != 2 {
		t.Errorf("a file of a spreadsheet: %+v, %v", withBOM, err)
	}
}
