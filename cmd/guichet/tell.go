package main

import (
	"context"
	"encoding/json"
	"errors"
	"maps"

	"guichet"
	"guichet/bank"
	"guichet/job"
	"guichet/people"
)

// jobTrust is the periodic job that looks for accesses whose bank will soon ask
// again.
const jobTrust = "bank.trust"

// tellOwner writes to the owner of an access, in their language. Its link leads
// to the page of the access: who follows it signs in first.
func (p *program) tellOwner(ctx context.Context, c job.Claimed) error {
	var args bank.TellArgs
	if err := json.Unmarshal(c.Args, &args); err != nil {
		return job.Permanent(err)
	}
	owner, err := p.store.People().Person(ctx, args.Owner)
	switch {
	case errors.Is(err, people.ErrNoPerson) || err == nil && !owner.DisabledAt.IsZero():
		return nil // nobody to write to any more
	case err != nil:
		return err
	}
	data := maps.Clone(args.Data)
	data["institution"], data["label"], data["url"] = args.Institution, args.Label, p.config.URL+"/accesses/"+args.Access.String()
	institutions, err := p.bank.Institutions(ctx)
	if err != nil {
		return err
	}
	for _, i := range institutions {
		if i.ID == args.Institution {
			data["institution"] = i.Name
		}
	}
	c.Args, err = json.Marshal(guichet.Letter{
		Template: args.Template, Data: data, To: []guichet.Mailbox{{Name: owner.Name, Address: owner.Email, Language: owner.Language}},
	})
	if err != nil {
		return job.Permanent(err)
	}
	return p.sendMail(ctx, c)
}
