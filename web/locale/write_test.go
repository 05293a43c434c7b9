package locale

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestMoney(t *testing.T) {
	fr, en := In(French, nil), In(English, nil)
	for _, c := range []struct {
		minor    int64
		currency string
		fr, en   string
	}{
		{123456, "EUR", "1\u202f234,56\u202f€", "€1,234.56"},
		{-123456, "EUR", "\u22121\u202f234,56\u202f€", "\u2212€1,234.56"},
		{0, "EUR", "0,00\u202f€", "€0.00"},
		{5, "EUR", "0,05\u202f€", "€0.05"},
		{-5, "EUR", "\u22120,05\u202f€", "\u2212€0.05"},
		{99, "EUR", "0,99\u202f€", "€0.99"},
		{100, "EUR", "1,00\u202f€", "€1.00"},
		{100000000, "EUR", "1\u202f000\u202f000,00\u202f€", "€1,000,000.00"},
		{1234, "JPY", "1\u202f234\u202f¥", "¥1,234"},
		{1234, "TND", "1,234\u202fTND", "TND\u00a01.234"},
		{123456, "CHF", "1\u202f234,56\u202fCHF", "CHF\u00a01,234.56"},
		{123456, "USD", "1\u202f234,56\u202f$US", "$1,234.56"},
		{math.MinInt64, "EUR", "\u221292\u202f233\u202f720\u202f368\u202f547\u202f758,08\u202f€", "\u2212€92,233,720,368,547,758.08"},
	} {
		if got := fr.Money(c.minor, c.currency); got != c.fr {
			t.Errorf("French %d %s = %q, want %q", c.minor, c.currency, got, c.fr)
		}
		if got := en.Money(c.minor, c.currency); got != c.en {
			t.Errorf("English %d %s = %q, want %q", c.minor, c.currency, got, c.en)
		}
	}
	if got := fr.Signed(100, "EUR"); got != "+1,00\u202f€" {
		t.Errorf("Signed = %q", got)
	}
	if got := fr.Signed(0, "EUR"); got != "0,00\u202f€" {
		t.Errorf("Signed of nothing = %q", got)
	}
}

// Whatever the amount and the language, its digits are the amount and nothing
// in it lets a line break.
func TestMoneyKeepsItsDigits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		minor := rapid.Int64().Draw(t, "minor")
		currency := rapid.SampledFrom([]string{"EUR", "JPY", "TND", "CLF", "CHF"}).Draw(t, "currency")
		lang := rapid.SampledFrom(Languages()).Draw(t, "lang")
		s := In(lang, nil).Money(minor, currency)
		if strings.Contains(s, " ") {
			t.Fatalf("%q can break", s)
		}
		if strings.HasPrefix(s, minus) != (minor < 0) {
			t.Fatalf("%q has the wrong sign for %d", s, minor)
		}
		var n uint64
		for _, r := range s {
			if r >= '0' && r <= '9' {
				n = n*10 + uint64(r-'0')
			}
		}
		want := uint64(minor)
		if minor < 0 {
			want = -want
		}
		if n != want {
			t.Fatalf("%q holds %d, want %d", s, n, want)
		}
	})
}

func TestDates(t *testing.T) {
	paris, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	fr, en := In(French, paris), In(English, paris)
	at := time.Date(2026, 5, 4, 7, 33, 21, 0, time.UTC)
	for _, c := range []struct{ got, want string }{
		{fr.Exact(at), "4\u00a0mai\u00a02026, 09:33:21"},
		{en.Exact(at), "4\u00a0May\u00a02026, 09:33:21"},
		{fr.Moment(at), "4\u00a0mai\u00a02026, 09:33"},
		{fr.Date(time.Date(2026, 4, 30, 23, 0, 0, 0, time.UTC)), "1er\u00a0mai\u00a02026"},
		{en.Date(time.Date(2026, 4, 30, 23, 0, 0, 0, time.UTC)), "1\u00a0May\u00a02026"},
		{fr.Month(at), "Mai 2026"},
		{fr.Month(time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)), "Août 2026"},
		{fr.ShortDay(time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)), "lun.\u00a04"},
		{en.ShortDay(time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)), "Mon\u00a04"},
		{fr.Brief(at, at), "09:33"},
		{fr.Brief(at, at.AddDate(0, 2, 0)), "4\u00a0mai"},
		{fr.Brief(at, at.AddDate(1, 0, 0)), "4\u00a0mai\u00a02026"},
		{fr.Countdown(4*time.Minute + 12*time.Second), "4\u00a0min\u00a012\u00a0s"},
		{fr.Countdown(60 * time.Second), "1\u00a0min\u00a000\u00a0s"},
		{fr.Countdown(38 * time.Second), "38\u00a0s"},
		{fr.Countdown(-time.Second), "0\u00a0s"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestRelative(t *testing.T) {
	fr := In(French, nil)
	now := time.Date(2026, 5, 4, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		apart time.Duration
		want  string
	}{
		{0, "à l’instant"},
		{-30 * time.Second, "à l’instant"},
		{-3 * time.Minute, "il y a 3\u00a0min"},
		{-2 * time.Hour, "il y a 2\u00a0h"},
		{-11 * time.Hour, "il y a 11\u00a0h"}, // the day before, and still near
		{-20 * time.Hour, "hier"},
		{-3 * 24 * time.Hour, "il y a 3 jours"},
		{-30 * 24 * time.Hour, "4\u00a0avr."},
		{-400 * 24 * time.Hour, "30\u00a0mars\u00a02025"},
		{38 * time.Second, "dans 38\u00a0s"},
		{12 * time.Minute, "dans 12\u00a0min"},
		{13 * time.Hour, "dans 13\u00a0h"}, // still today
		{20 * time.Hour, "demain"},
		{45 * 24 * time.Hour, "dans 45 jours"},
		{500 * 24 * time.Hour, "16\u00a0sept.\u00a02027"},
	} {
		if got := fr.Relative(now.Add(c.apart), now); got != c.want {
			t.Errorf("Relative(%v) = %q, want %q", c.apart, got, c.want)
		}
	}
}
