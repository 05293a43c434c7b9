package simbank

import (
	"regexp"
	"slices"
	"testing"
	"time"
)

func TestNothingIsSentBeforeTheChoice(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server)
	b.logIn("choice").wantAt("/choice").wantText("Comment voulez-vous confirmer")
	b.get("/choice").get("/accounts").wantAt("/choice").get("/otp").wantAt("/choice").get("/app").wantAt("/choice")
	b.post("/otp/send").wantAt("/choice").post("/app").wantAt("/choice").post("/otp", "code", rightCode).wantAt("/choice")
	var offered []string
	for _, m := range regexp.MustCompile(`type="radio" name="moyen" value="(\w+)" required> ([^<]+)<`).FindAllStringSubmatch(b.page, -1) {
		offered = append(offered, m[1])
	}
	if want := []string{"sms", "app", "mail"}; !slices.Equal(offered, want) {
		t.Errorf("offers %v, want %v", offered, want)
	}
	for _, none := range []string{"", "pigeon", "SMS"} {
		b.post("/choice", "moyen", none).wantAt("/choice").wantText("Choisissez un des moyens proposés")
	}
	if got := site.Counters("choice"); got.CodesSent != 0 || got.AppAsked != 0 || got.Choices != 0 {
		t.Errorf("counters: %+v", got)
	}
}

func TestEachWayOfTheChoice(t *testing.T) {
	site, server := open(t)
	for login, way := range map[string]struct {
		moyen, at, says string
		want            Counters
	}{
		"choice-1": {waySMS, "/otp", "envoyé par SMS au 06 •• •• ••", Counters{CodesSent: 1, CodesTried: 1}},
		"choice-2": {wayMail, "/otp", "envoyé par courriel à ", Counters{CodesSent: 1, CodesMailed: 1, CodesTried: 1}},
		"choice-3": {wayApp, "/app", "validez la demande de connexion", Counters{AppAsked: 1}},
	} {
		b := newBrowser(t, server)
		b.logIn(login).post("/choice", "moyen", way.moyen).wantAt(way.at).wantText(way.says)
		if way.moyen == wayApp {
			id := b.hidden("id")
			site.Advance(appDelay)
			b.post("/app/finish", "id", id)
		} else {
			b.post("/otp", "code", rightCode)
		}
		b.wantAt("/accounts").get("/logout").logIn(login).wantAt("/accounts") // trusted
		got := site.Counters(login)
		if got.Choices != 1 || got.CodesSent != way.want.CodesSent || got.CodesMailed != way.want.CodesMailed ||
			got.CodesTried != way.want.CodesTried || got.AppAsked != way.want.AppAsked {
			t.Errorf("%s: counters %+v", way.moyen, got)
		}
	}
}

// A form sent twice, a second tab, another way than the one chosen: the bank
// shows where the session is, and sends nothing more.
func TestChoiceIsMadeOnce(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server)
	other := b.logIn("choice").hidden("jeton")
	first := b.get("/choice").hidden("jeton") // a second tab: its form replaces the first
	b.post("/choice", "jeton", other, "moyen", wayApp).wantAt("/choice").wantText("plus valable")
	b.post("/choice", "jeton", first, "moyen", wayApp).wantText("plus valable")
	b.post("/choice", "moyen", wayMail).wantAt("/otp")
	for _, way := range []string{wayMail, waySMS, wayApp} {
		b.post("/choice", "jeton", first, "moyen", way).wantAt("/otp").wantText("par courriel")
	}
	if got := site.Counters("choice"); got.Choices != 1 || got.CodesSent != 1 || got.CodesMailed != 1 || got.AppAsked != 0 {
		t.Errorf("counters: %+v", got)
	}
	b.post("/otp/resend").wantText("Un nouveau code").wantText("par courriel")
	if got := site.Counters("choice"); got.CodesSent != 2 || got.CodesMailed != 2 || got.Resends != 1 {
		t.Errorf("sent again another way: %+v", got)
	}
}

func TestChoiceEndsWithItsSession(t *testing.T) {
	site, server := open(t)
	b := newBrowser(t, server)
	b.logIn("choice").wantAt("/choice")
	site.Advance(sessionLife + time.Second)
	b.post("/choice", "moyen", waySMS).wantAt("/login").wantText("session a expiré")
	if got := site.Counters("choice"); got.CodesSent != 0 {
		t.Errorf("counters: %+v", got)
	}
}

// The faults that strike other pages strike the choice: before it is looked at,
// or after, when only the bank's answer is lost.
func TestFaultsOfTheChoice(t *testing.T) {
	for kind, sent := range map[string]int{FaultUnavailable: 0, FaultTooMany: 0, FaultExpire: 0, FaultReset: 1, FaultTruncate: 1} {
		site, server := open(t)
		b := newBrowser(t, server)
		b.logIn("choice").wantAt("/choice")
		if err := site.AddFaults(Fault{PathPrefix: "/choice", Method: "POST", Kind: kind, Times: 1}); err != nil {
			t.Fatal(err)
		}
		response, err := b.client.PostForm(b.base+"/choice", map[string][]string{"jeton": {b.hidden("jeton")}, "moyen": {waySMS}})
		if err == nil {
			_ = response.Body.Close()
		}
		if (err != nil) != (kind == FaultReset) {
			t.Errorf("%s: %v", kind, err)
		}
		if got := site.Counters("choice"); got.CodesSent != sent {
			t.Errorf("%s: counters %+v", kind, got)
		}
	}
}
