package store

import (
	"cmp"
	"errors"
	"time"

	"guichet"
	"guichet/bank"
	"guichet/ledger"
	"guichet/store/query"
)

// blob stores sealed bytes: none is an empty value, never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// unblob reads what blob stored.
func unblob(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

func accessRow(a bank.Access) query.Access {
	return query.Access{
		ID: string(a.ID), Owner: string(a.Owner), Institution: a.Institution, Connector: a.Connector, Label: a.Label, Locale: a.Locale,
		Credentials: blob(a.Credentials), Session: blob(a.Session), SessionExpires: micros(a.SessionExpires), Lent: a.Lent,
		Fingerprint: a.Fingerprint, CreatedAt: micros(a.CreatedAt), HasAccounts: a.HasAccounts, AttemptID: string(a.Attempt),
		NightOff: a.NightOff, Pause: string(a.Pause), NextPoll: micros(a.NextPoll), Failures: int64(a.Failures),
		LastSuccess: micros(a.LastSuccess), TrustedUntil: micros(a.TrustedUntil), Version: a.Version,
		Disabled: a.Disabled, StrongAt: micros(a.StrongAt), TrustWarned: int64(a.TrustWarned),
	}
}

func accessOf(r query.Access) bank.Access {
	return bank.Access{
		ID: guichet.ID(r.ID), Version: r.Version, Owner: guichet.ID(r.Owner), Institution: r.Institution, Connector: r.Connector,
		Label: r.Label, Locale: r.Locale, Credentials: unblob(r.Credentials), Session: unblob(r.Session),
		SessionExpires: instant(r.SessionExpires), Lent: r.Lent, Fingerprint: r.Fingerprint, CreatedAt: instant(r.CreatedAt),
		HasAccounts: r.HasAccounts, Attempt: guichet.ID(r.AttemptID), NightOff: r.NightOff, Pause: bank.Pause(r.Pause),
		NextPoll: instant(r.NextPoll), Failures: int(r.Failures), LastSuccess: instant(r.LastSuccess), TrustedUntil: instant(r.TrustedUntil),
		Disabled: r.Disabled, StrongAt: instant(r.StrongAt), TrustWarned: int(r.TrustWarned),
	}
}

// attemptDetail is what of an attempt is only ever read whole.
type attemptDetail struct {
	Reason     string         `json:"reason,omitempty"`
	Text       string         `json:"text,omitempty"`
	BadFields  []string       `json:"bad_fields,omitempty"`
	RetryAfter time.Time      `json:"retry_after,omitzero"`
	Warnings   []bank.Warning `json:"warnings,omitempty"`
	Counts     bank.Counts    `json:"counts"`
}

func attemptRow(a bank.Attempt) query.Attempt {
	return query.Attempt{
		ID: string(a.ID), Owner: string(a.Owner), AccessID: string(a.AccessID), AccountID: string(a.AccountID), Purpose: string(a.Purpose),
		TriggerKind: string(a.Trigger), State: string(a.State), Fingerprint: a.Fingerprint, Institution: a.Institution, Label: a.Label,
		Form: blob(a.Form), ChallengeID: string(a.Challenge), CreatedAt: micros(a.CreatedAt), UpdatedAt: micros(a.UpdatedAt),
		EndedAt: micros(a.EndedAt), Worker: a.Worker, Epoch: a.Epoch, LeaseUntil: micros(a.LeaseUntil), Phase: string(a.Phase),
		Done: int64(a.Done), Total: int64(a.Total), Outcome: string(a.Outcome),
		Detail:  asJSON(attemptDetail{a.Reason, a.Text, a.BadFields, a.RetryAfter, a.Warnings, a.Counts}),
		Version: a.Version, Credentials: blob(a.Credentials),
	}
}

func attemptOf(r query.Attempt) (bank.Attempt, error) {
	d, err := fromJSON[attemptDetail](r.Detail)
	return bank.Attempt{
		ID: guichet.ID(r.ID), Version: r.Version, Owner: guichet.ID(r.Owner), AccessID: guichet.ID(r.AccessID),
		AccountID: guichet.ID(r.AccountID), Purpose: bank.Purpose(r.Purpose), Trigger: bank.Trigger(r.TriggerKind),
		State: bank.AttemptState(r.State), Fingerprint: r.Fingerprint, Institution: r.Institution, Label: r.Label, Form: unblob(r.Form), Credentials: unblob(r.Credentials),
		Challenge: guichet.ID(r.ChallengeID), CreatedAt: instant(r.CreatedAt), UpdatedAt: instant(r.UpdatedAt), EndedAt: instant(r.EndedAt),
		Worker: r.Worker, Epoch: r.Epoch, LeaseUntil: instant(r.LeaseUntil), Phase: bank.Phase(r.Phase), Done: int(r.Done),
		Total: int(r.Total), Outcome: bank.OutcomeKind(r.Outcome), Reason: d.Reason, Text: d.Text, BadFields: d.BadFields,
		RetryAfter: d.RetryAfter, Warnings: d.Warnings, Counts: d.Counts,
	}, err
}

func challengeRow(c bank.Challenge) query.Challenge {
	return query.Challenge{
		ID: string(c.ID), Owner: string(c.Owner), AttemptID: string(c.AttemptID), AccessID: string(c.AccessID), Seq: int64(c.Seq),
		Status: string(c.Status), Question: asJSON(c.Question), CreatedAt: micros(c.CreatedAt), EndedAt: micros(c.EndedAt),
		Deadline: micros(c.Deadline), Used: int64(c.Used), MaxAnswers: int64(c.Max), Resends: int64(c.Resends), Resending: c.Resending,
		AnswerKeys: asJSON(c.Keys), Session: blob(c.Session), LastOutcome: string(c.LastOutcome), LastText: c.LastText, Version: c.Version,
	}
}

func challengeOf(r query.Challenge) (bank.Challenge, error) {
	question, err := fromJSON[bank.Question](r.Question)
	keys, errKeys := fromJSON[[]string](r.AnswerKeys)
	return bank.Challenge{
		ID: guichet.ID(r.ID), Version: r.Version, Owner: guichet.ID(r.Owner), AttemptID: guichet.ID(r.AttemptID),
		AccessID: guichet.ID(r.AccessID), Seq: int(r.Seq), Status: bank.ChallengeStatus(r.Status), Question: question,
		CreatedAt: instant(r.CreatedAt), EndedAt: instant(r.EndedAt), Deadline: instant(r.Deadline), Used: int(r.Used),
		Max: int(r.MaxAnswers), Resends: int(r.Resends), Resending: r.Resending, Keys: keys, Session: unblob(r.Session),
		LastOutcome: bank.OutcomeKind(r.LastOutcome), LastText: r.LastText,
	}, errors.Join(err, errKeys)
}

func accountRow(a ledger.Account) query.Account {
	return query.Account{
		ID: string(a.ID), AccessID: string(a.AccessID), Ref: a.Ref, Kind: string(a.Kind), Subtype: a.Subtype, Label: a.Label, Iban: a.IBAN,
		Number: a.Number, Parent: a.Parent, Balance: a.Balance.Minor, Currency: a.Balance.Currency, AsOf: micros(a.AsOf), Missing: a.Missing,
	}
}

func accountsOf(rows []query.Account) []ledger.Account {
	out := make([]ledger.Account, len(rows))
	for i, r := range rows {
		out[i] = ledger.Account{
			ID: guichet.ID(r.ID), AccessID: guichet.ID(r.AccessID), Ref: r.Ref, Kind: ledger.AccountKind(r.Kind), Subtype: r.Subtype,
			Label: r.Label, IBAN: r.Iban, Number: r.Number, Parent: r.Parent, Balance: ledger.Money{Minor: r.Balance, Currency: r.Currency},
			AsOf: instant(r.AsOf), Missing: r.Missing,
		}
	}
	return out
}

func transactionRow(t ledger.Transaction) query.Transaction {
	return query.Transaction{
		ID: string(t.ID), AccountID: string(t.AccountID), Ref: t.Ref, Status: string(t.Status), Type: t.Type, Amount: t.Amount.Minor,
		Currency: t.Amount.Currency, OriginalAmount: t.Original.Minor, OriginalCurrency: t.Original.Currency, RawLabel: t.RawLabel,
		Label: t.Label, BookedOn: string(t.BookedOn), DoneOn: string(t.DoneOn), ValueOn: string(t.ValueOn), SeenOn: string(t.SeenOn),
		Day: string(cmp.Or(t.Day(), t.SeenOn)),
	}
}

func transactionsOf(rows []query.Transaction) []ledger.Transaction {
	out := make([]ledger.Transaction, len(rows))
	for i, r := range rows {
		out[i] = ledger.Transaction{
			ID: guichet.ID(r.ID), AccountID: guichet.ID(r.AccountID), Ref: r.Ref, Status: ledger.Status(r.Status), Type: r.Type,
			Amount:   ledger.Money{Minor: r.Amount, Currency: r.Currency},
			Original: ledger.Money{Minor: r.OriginalAmount, Currency: r.OriginalCurrency},
			RawLabel: r.RawLabel, Label: r.Label, BookedOn: ledger.Date(r.BookedOn), DoneOn: ledger.Date(r.DoneOn),
			ValueOn: ledger.Date(r.ValueOn), SeenOn: ledger.Date(r.SeenOn),
		}
	}
	return out
}
