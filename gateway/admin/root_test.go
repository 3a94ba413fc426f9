package admin_test

import (
	"strings"
	"testing"

	"shoal/gateway/iam"
	"shoal/node/api"
)

// TestDisableRoot: root is disabled only where a user has an access key that lasts.
func TestDisableRoot(t *testing.T) {
	s := newStore(t)
	s.caller = iam.Root()
	disable := &taken{"POST", "root", `{"disabled":true}`, nil, true}
	if status, body := s.send(t, &taken{"POST", "root", "{}", nil, true}, "root-1"); status != 400 {
		t.Errorf("of nothing: %d %s", status, body)
	}
	for _, name := range []string{"eve-1", "bob-1"} {
		k := api.KeyChange{AccessKeyID: name, Do: api.DoDisable}
		if err := s.known.ChangeKey(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
	if status, body := s.send(t, disable, "root-1"); status != 400 || !strings.Contains(body, "Nobody else") {
		t.Errorf("with nobody else: %d %s", status, body)
	}
	if err := s.known.ChangeKey(t.Context(), api.KeyChange{AccessKeyID: "bob-1", Do: api.DoEnable}); err != nil {
		t.Fatal(err)
	}
	if status, body := s.send(t, disable, "root-1"); status != 200 {
		t.Errorf("with somebody: %d %s", status, body)
	}
}
