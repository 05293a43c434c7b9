package web

import (
	"context"
	"net/http"

	"github.com/a-h/templ"

	"guichet"
	"guichet/grant"
	"guichet/web/view"
)

type component = templ.Component

func (s *Server) grantRoutes(_ *http.ServeMux) {}

func (s *Server) alertView(_ context.Context, a guichet.Alert, _ *grant.Request) view.Alert {
	return view.Alert{ID: a.ID.String(), Kind: a.Kind, Subject: a.Subject, OpenedAt: a.OpenedAt}
}

func entryMeaning(grant.Delivery) view.Meaning { return view.Neutral }

func entryWords(context.Context, grant.Delivery) string { return "" }

func requestURL(provider, externalID string) string {
	return view.PathRequests + "/" + provider + "/" + externalID
}
