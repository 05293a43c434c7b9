package grant

import (
	"context"
	"slices"
	"strconv"
	"time"

	"guichet"
)

// reminderDays are the days before the end of a token on which people are told,
// each once.
var reminderDays = []int{90, 60, 30, 14, 7, 1, 0}

// DueReminder tells which reminder of a token falls due now, in days before its
// end, and which are over with it: those that were missed are never sent late.
// Civil days in Paris: a token that ends tomorrow at noon ends in one day all day.
func DueReminder(t Token, r Request, now time.Time) (days int, over []int, due bool) {
	if !t.BlockedAt.IsZero() || !t.BlockAt.IsZero() || r.Status != Validated || !r.ArchivedAt.IsZero() {
		return 0, nil, false
	}
	left := civilDays(now, t.ExpiresAt)
	if left < 0 {
		return 0, nil, false
	}
	for _, d := range reminderDays {
		if left <= d {
			over, days = append(over, d), d
		}
	}
	return days, over, len(over) > 0 && !slices.Contains(t.Reminders, days)
}

// civilDays counts the midnights of Paris between two instants.
func civilDays(from, to time.Time) int {
	day := func(t time.Time) time.Time {
		y, m, d := t.In(paris).Date()
		return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
	}
	return int(day(to).Sub(day(from)) / (24 * time.Hour))
}

// Remind tells people of the tokens that end soon. A job runs it every hour; it
// may be run any number of times, by any number of processes. It returns how
// many letters were written.
func (d *Desk) Remind(ctx context.Context, office Office) (letters int, err error) {
	var last Standing
	for {
		now := d.Clock.Now()
		tokens, err := office.Expiring(ctx, now.Add(-24*time.Hour), now.AddDate(0, 0, reminderDays[0]+1), last)
		if err != nil || len(tokens) == 0 {
			return letters, err
		}
		for _, t := range tokens {
			last = t
			if _, _, due := DueReminder(t.Token, Request{Status: t.Status}, now); !due {
				continue // the request may say no too, but is not looked at for nothing
			}
			told, err := d.remind(ctx, t)
			if err != nil {
				return letters, err
			}
			letters += told
		}
	}
}

func (d *Desk) remind(ctx context.Context, s Standing) (told int, err error) {
	err = d.Store.Update(ctx, func(tx Tx) error {
		told = 0
		request, token, err := d.findToken(tx, s)
		if err != nil {
			return err
		}
		now := d.Clock.Now()
		days, over, due := DueReminder(token, request, now)
		if !due {
			return nil // somebody else was faster, or it changed
		}
		token.Reminders = over
		if err := tx.Amend(&token); err != nil {
			return err
		}
		detail := map[string]string{"token": token.ID.String(), "days": strconv.Itoa(days)}
		if err := d.audit(tx, guichet.System("reminders"), "token.reminded", request.Subject(), detail); err != nil {
			return err
		}
		sent, err := d.tellToken(tx, MailTokenExpires, request, token.ID, map[string]string{
			"days": strconv.Itoa(civilDays(now, token.ExpiresAt)), "expires_at": token.ExpiresAt.Format(time.RFC3339),
		})
		if sent {
			told = 1
		}
		return err
	})
	return told, err
}

// shortToken is how people tell tokens apart: by the end of the identifier.
func shortToken(id guichet.ID) string { return string(id[24:28]) + "…" + string(id[32:]) }
