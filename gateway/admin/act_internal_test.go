package admin

import (
	"maps"
	"net/http"
	"testing"
)

// noActs are the routes that change nothing although they are no GET.
var noActs = map[string]bool{
	"POST /admin/v1/durability": true, // asks what would be
	"POST /admin/v1/simulate":   true, // the same
	"POST /admin/v1/scrub":      true, // checks and mends
}

// TestEveryActIsRecorded: every route that changes something leaves a record of the act.
func TestEveryActIsRecorded(t *testing.T) {
	left := maps.Clone(noActs)
	for _, rt := range routes() {
		name := rt.method + " " + rt.path
		switch {
		case rt.acting != nil && noActs[name]:
			t.Errorf("%s is an act, and said to be none", name)
		case rt.acting == nil && rt.method != http.MethodGet && !noActs[name]:
			t.Errorf("%s leaves no record of the act", name)
		}
		delete(left, name)
	}
	for name := range left {
		t.Errorf("there is no route %s", name)
	}
}
