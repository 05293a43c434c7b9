package web

import (
	"context"
	"net/http"

	"guichet"
	"guichet/web/view"
)

func (s *Server) bankRoutes(_ *http.ServeMux) {}

// bankFrame adds what waits at banks to the frame of a page.
func (s *Server) bankFrame(_ context.Context, _ guichet.Actor, _ *view.Frame) {}

// bankOverview adds what waits at banks, and how one's money stands.
func (s *Server) bankOverview(_ visit, _ *view.Overview) error { return nil }
