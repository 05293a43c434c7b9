package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"guichet"
	"guichet/bank"
	"guichet/grant"
)

// operatorRole is what Identify calls those who run Guichet.
const operatorRole = "operator"

var errOperatorsOnly = &guichet.Error{Kind: guichet.Forbidden, Code: "not_allowed", Reason: "Only an operator may do this."}

// registerTokens adds what operators' programs do to tokens.
func (b *Bank) registerTokens(api huma.API, op func(method, path, id, summary string) huma.Operation) {
	operators := func(o huma.Operation) huma.Operation {
		o.Errors = append(o.Errors, http.StatusForbidden)
		return o
	}
	huma.Register(api, operators(op("GET", "/tokens/{id}/limits", "token_limits", "From which networks and how often a token may be used")), b.limits)
	huma.Register(api, operators(op("PUT", "/tokens/{id}/limits", "limit_token", "Narrow the use of a token, or widen it: of the JWTs shown from now on")), b.limit)
}

type limitsView struct {
	From      []string `json:"from" maxItems:"16" doc:"Networks or addresses, such as 192.0.2.0/24; none: from anywhere."`
	PerMinute int      `json:"per_minute" minimum:"0" maximum:"1000000" doc:"Uses a minute at each gateway; 0: as many as it likes."`
}

type tokenLimitsView struct {
	ID     guichet.ID `json:"id"`
	Limits limitsView `json:"limits"`
}

func (b *Bank) limits(ctx context.Context, in *pathID) (*body[tokenLimitsView], error) {
	t, err := b.operatorsToken(ctx, in.ID)
	if err != nil {
		return nil, b.fail(err, bank.Case{})
	}
	return viewLimits(t.ID, t.Limit), nil
}

type limitIn struct {
	ID   string `path:"id" maxLength:"64"`
	Body limitsView
}

func (b *Bank) limit(ctx context.Context, in *limitIn) (*body[tokenLimitsView], error) {
	t, err := b.operatorsToken(ctx, in.ID)
	if err != nil {
		return nil, b.fail(err, bank.Case{})
	}
	limit, err := guichet.ParseLimit(in.Body.From, in.Body.PerMinute)
	if err == nil {
		err = b.Tokens.Limit(ctx, askerOf(ctx).Actor, t.ID, limit)
	}
	if err != nil {
		return nil, b.fail(err, bank.Case{})
	}
	return viewLimits(t.ID, limit), nil
}

// operatorsToken is a token, for operators: others do not learn whether there is one.
func (b *Bank) operatorsToken(ctx context.Context, id string) (grant.Standing, error) {
	if askerOf(ctx).role != operatorRole {
		return grant.Standing{}, errOperatorsOnly
	}
	token, err := guichet.ParseID(id)
	if err != nil {
		return grant.Standing{}, grant.ErrNoToken
	}
	return b.Tokens.Store.Standing(ctx, token)
}

func viewLimits(id guichet.ID, l guichet.Limit) *body[tokenLimitsView] {
	v := tokenLimitsView{ID: id, Limits: limitsView{From: []string{}, PerMinute: l.PerMinute}}
	for _, n := range l.From {
		v.Limits.From = append(v.Limits.From, n.String())
	}
	return &body[tokenLimitsView]{v}
}
