package main

import (
	"context"
	"encoding/json"
	"net/url"
	"sync"
	"time"

	"guichet"
	"guichet/alarm"
	"guichet/job"
	"guichet/mail"
)

// tellOperators is the job of an alert: by mail, and by every channel, all at once,
// so that one that hangs delays none of the others. What each has taken is noted,
// so that the job, tried again, goes only to those that have not; it is tried again
// as long as any of them may take it. One that refused is asked again with them: its
// address may have been put right meanwhile.
func (p *program) tellOperators(ctx context.Context, c job.Claimed) error {
	var args struct{ Alert guichet.ID }
	if err := json.Unmarshal(c.Args, &args); err != nil {
		return job.Permanent(err)
	}
	alert, err := p.store.Alerts().Get(ctx, args.Alert)
	if err != nil {
		return err
	}
	p.log.Warn("alert", "kind", alert.Kind, "subject", alert.Subject, "alert", alert.ID)
	letter := guichet.Letter{Template: "alert", To: p.config.Operators, Data: map[string]string{
		"kind": alert.Kind, "subject": alert.Subject, "at": alert.OpenedAt.Format(time.RFC3339),
		"url": p.config.URL + "/alerts?subject=" + url.QueryEscape(alert.Subject),
	}}
	failed := make([]error, 1+len(p.alarms))
	var parts sync.WaitGroup
	parts.Go(func() { failed[0] = p.mailAlert(ctx, c, letter) })
	for i, channel := range p.alarms {
		parts.Go(func() { failed[1+i] = p.sound(ctx, channel, alert, letter) })
	}
	parts.Wait()
	return job.Join(failed...)
}

func (p *program) mailAlert(ctx context.Context, c job.Claimed, letter guichet.Letter) error {
	if len(letter.To) == 0 || p.mailer == nil {
		return nil
	}
	args, err := json.Marshal(letter)
	if err != nil {
		return job.Permanent(err)
	}
	c.Args = args
	return p.sendMail(ctx, c)
}

// sound tells one channel once. If we die between its answer and the note, it is
// told again: a tracker sees that it is the same, a chat shows it twice.
func (p *program) sound(ctx context.Context, to alarm.Channel, alert guichet.Alert, letter guichet.Letter) error {
	sent := p.store.Letters()
	key := "alarm/" + string(alert.ID) + "/" + to.ID
	if taken, err := sent.Taken(ctx, key); err != nil || taken {
		return err
	}
	reader, err := mail.ParseMailbox(p.config.MailFrom) // a channel has no address of its own
	if err != nil {
		return job.Permanent(err)
	}
	reader.Language = "fr"
	message, err := mail.Render(letter, reader)
	if err != nil {
		return job.Permanent(err)
	}
	if err := to.Send(ctx, alarm.Notice{Alert: alert, Text: message.Subject, URL: letter.Data["url"]}); err != nil {
		return err
	}
	return sent.Note(ctx, key)
}
