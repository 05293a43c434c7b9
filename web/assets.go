package web

import (
	"fmt"
	"net/http"

	"guichet/web/asset"
)

// Assets mounts the scripts and styles of this binary and returns them for the
// pages. A binary built without them is refused here, before it listens.
func Assets(mux *http.ServeMux) (*asset.Set, error) {
	set, err := asset.Embedded()
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	mux.Handle(asset.Prefix, set)
	return set, nil
}
