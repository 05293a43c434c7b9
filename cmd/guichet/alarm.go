package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"time"

	"guichet"
	"guichet/alarm"
	"guichet/job"
	"guichet/mail"
)

// tellOperators is the job of an alert: by mail, and by every channel. One that
// does not answer delays none of the others; what each has taken is noted, so
// that the job, tried again, goes only to those that have not.
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
	errs := []error{p.mailAlert(ctx, c, letter)}
	for _, channel := range p.alarms {
		errs = append(errs, p.sound(ctx, channel, alert, letter))
	}
	return errors.Join(errs...)
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
