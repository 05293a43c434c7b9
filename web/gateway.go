package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"guichet"
	"guichet/grant"
	"guichet/web/view"
)

func (s *Server) gatewayRoutes(mux *http.ServeMux) {
	mux.Handle("GET "+view.PathGateways, s.operators(s.gateways))
	mux.Handle("POST "+view.PathGateways, s.operators(s.addGateway))
	mux.Handle("POST "+view.PathGateways+"/{name}/rotate", s.operators(s.rotateGateway))
	mux.Handle("POST "+view.PathGateways+"/{name}/revoke", s.operators(s.revokeGateway))
}

var gatewayState = map[grant.GatewayState]view.State{
	grant.GatewayNew: view.GatewayNew, grant.GatewayCurrent: view.GatewayCurrent, grant.GatewayLate: view.GatewayLate,
	grant.GatewaySilent: view.GatewaySilent, grant.GatewayRevoked: view.GatewayRevoked,
}

func (s *Server) gateways(v visit) error {
	return s.showGateways(v, http.StatusOK, nil, nil)
}

// showGateways draws the page; fresh is a credential that only this page ever has.
func (s *Server) showGateways(v visit, status int, fresh *view.Secret, wrong error) error {
	ctx := v.r.Context()
	list, _, err := s.Gateways.Standings(ctx)
	if err != nil {
		return err
	}
	page := view.GatewayList{Fresh: fresh, Add: view.Field{
		Name: "name", Label: view.Say(ctx, "gateway.name"), Placeholder: view.Say(ctx, "gateway.example"), Required: true, Autocomplete: "off", MaxLength: 64,
	}}
	if wrong != nil {
		page.Add.Error, page.Add.Focus, page.Add.Value = errorWords(ctx, wrong), true, v.r.PostFormValue("name")
	}
	for _, g := range list {
		page.Rows = append(page.Rows, gatewayLine(ctx, g))
	}
	v.show(status, func(f view.Frame) component { return view.GatewaysPage(f, page) })
	return nil
}

func gatewayLine(ctx context.Context, g grant.GatewayStanding) view.GatewayLine {
	line := view.GatewayLine{
		Name: g.Name, State: gatewayState[g.State], Behind: g.Behind, Contact: g.Seen.At, Software: g.Seen.Software,
		Version: view.ViewerFrom(ctx).Words.Number(g.Seen.Have.Seq),
	}
	if g.Seen.StaleAfter > 0 {
		line.StaleAfter = view.ViewerFrom(ctx).Words.Number(int64(g.Seen.StaleAfter.Seconds())) + "\u00a0s"
	}
	if g.State == grant.GatewayRevoked {
		return line
	}
	at := view.PathGateways + "/" + url.PathEscape(g.Name)
	line.Actions = []view.Action{
		{Label: view.Say(ctx, "gateway.rotate"), URL: at + "/rotate", Post: true, Tone: view.Quiet},
		{Label: view.Say(ctx, "gateway.revoke"), URL: at + "/revoke", Post: true, Tone: view.Danger, Confirm: &view.Confirm{
			ID: "revoke-" + g.ID.String(), Title: view.Say(ctx, "gateway.revoke_title", "Name", g.Name), Says: view.Say(ctx, "gateway.revoke_says"),
		}},
	}
	return line
}

func (s *Server) addGateway(v visit) error {
	g, credential, err := s.Gateways.Add(v.r.Context(), v.by(), strings.TrimSpace(v.r.PostFormValue("name")))
	if errors.Is(err, grant.ErrGatewayName) || errors.Is(err, grant.ErrGatewayTaken) {
		return s.showGateways(v, Status(guichet.KindOf(err)), nil, err)
	}
	if err != nil {
		return err
	}
	return s.showGateways(v, http.StatusOK, credentialField(g.Name, credential), nil)
}

func (s *Server) rotateGateway(v visit) error {
	name := v.r.PathValue("name")
	credential, err := s.Gateways.Rotate(v.r.Context(), v.by(), name)
	if err != nil {
		return err
	}
	return s.showGateways(v, http.StatusOK, credentialField(name, credential), nil)
}

func credentialField(name string, credential guichet.Secret) *view.Secret {
	return &view.Secret{ID: "fresh-gateway", Label: name, Value: credential.Reveal(), Open: true}
}

func (s *Server) revokeGateway(v visit) error {
	name := v.r.PathValue("name")
	if err := s.Gateways.Revoke(v.r.Context(), v.by(), name); err != nil {
		return err
	}
	v.say("gateway.revoked_toast", "Name", name)
	return v.redirect(view.PathGateways)
}
