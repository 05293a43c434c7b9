package web_test

import (
	"context"
	"time"

	"guichet/web/view"
)

// accessDetail is the page of an access whose bank will soon ask again, or of one
// that is disabled.
func accessDetail(ctx context.Context, disabled bool) view.AccessDetail {
	p := view.AccessDetail{
		Line:    view.AccessLine{ID: "5", Institution: "Caisse Demo", Label: "Personnel", State: view.AccessFresh, LastSuccess: ago(2 * time.Hour)},
		SaveURL: "/accesses/5", RefreshURL: "/accesses/5/refresh", Disabled: disabled,
		Label: view.Field{Name: "label", Label: view.Say(ctx, "access.label"), Value: "Personnel", MaxLength: 100, Required: true, Autocomplete: "off"},
		Credentials: []view.Field{
			{Name: "fields.login", Label: "Identifiant", Required: true, Autocomplete: "off"},
			{Name: "fields.password", Label: "Mot de passe", Masked: true, Required: true, Autocomplete: "off"},
		},
		Delete: view.Action{
			Label: view.Say(ctx, "access.delete"), URL: "/accesses/5/delete", Post: true, Tone: view.Danger,
			Confirm: &view.Confirm{ID: "delete-5", Title: view.Say(ctx, "access.delete_confirm", "Access", "Personnel"), Says: view.Say(ctx, "access.delete_empty")},
		},
	}
	if disabled {
		p.Line.State = view.AccessDisabled
		return p
	}
	p.Line.NextPoll, p.Line.TrustedUntil, p.Line.TrustEnds = in(18*time.Hour), in(6*24*time.Hour), true
	p.Line.Main = &view.Action{Label: view.Say(ctx, "access.refresh"), URL: "/accesses/5/refresh", Post: true, Tone: view.Quiet}
	p.Night = &view.Action{Label: view.Say(ctx, "access.night_pause"), URL: "/accesses/5", Post: true}
	p.Disable = &view.Action{
		Label: view.Say(ctx, "access.disable"), URL: "/accesses/5", Post: true, Tone: view.Danger,
		Confirm: &view.Confirm{ID: "disable-5", Title: view.Say(ctx, "access.disable_confirm", "Access", "Personnel"), Says: view.Say(ctx, "access.disable_says")},
	}
	return p
}
