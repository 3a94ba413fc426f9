package node

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"shoal/node/api"
	"shoal/node/peer"
	"shoal/p2p"
)

// TestPatientSteps: a node that starts while others come and go waits for them, and gives up only for what
// waiting does not mend.
func TestPatientSteps(t *testing.T) {
	away := &api.Error{Kind: api.Unavailable, Op: "test"}
	damaged := &api.Error{Kind: api.Corrupt, Op: "test"}
	for name, tc := range map[string]struct {
		fails []error
		want  error
		steps int
	}{
		"at once":          {nil, nil, 1},
		"others away":      {[]error{away, context.DeadlineExceeded, &api.Error{Kind: api.OutcomeUnknown}, errors.Join(errors.New("x"), away)}, nil, 5},
		"damaged":          {[]error{away, damaged}, damaged, 2},
		"a call canceled":  {[]error{context.Canceled}, nil, 2},
		"ended, then away": {[]error{away, away, away, away, away, away, away, away}, context.DeadlineExceeded, 6}, // the last is told that time is up
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &Node{cfg: Config{Logger: slog.New(slog.DiscardHandler)}}
				ctx, cancel := context.WithTimeout(t.Context(), 4*awaitPause+awaitPause/2)
				defer cancel()
				steps := 0
				err := n.patient(func(context.Context) error {
					steps++
					if steps <= len(tc.fails) {
						return tc.fails[steps-1]
					}
					return nil
				})(ctx)
				if !errors.Is(err, tc.want) || steps != tc.steps {
					t.Errorf("%d steps, %v; want %d, %v", steps, err, tc.steps, tc.want)
				}
			})
		})
	}
}

// TestKeysBesideDeadNodes: a node that joins gets the keys though most of the nodes it was told of are dead, each of which takes the 8 s of
// a dial to be known as such.
func TestKeysBesideDeadNodes(t *testing.T) {
	dead := errors.New("dead")
	nodes := map[p2p.NodeID][]string{"lives": {"here"}}
	for _, id := range []p2p.NodeID{"a", "b", "c", "d", "e", "f", "g"} {
		nodes[id] = []string{"nowhere"}
	}
	ask := func(ctx context.Context, _ p2p.NodeID, addrs []string) (*peer.BootstrapAnswer, error) {
		patience := 8 * time.Second
		if addrs[0] == "here" {
			patience = 10 * time.Second // later than all the others
		}
		select {
		case <-time.After(patience):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if addrs[0] == "here" {
			return &peer.BootstrapAnswer{Region: "r"}, nil
		}
		return nil, dead
	}
	synctest.Test(t, func(t *testing.T) {
		if a, err := firstShared(t.Context(), nodes, ask); err != nil || a.Region != "r" {
			t.Errorf("%v, %v", a, err)
		}
		delete(nodes, "lives")
		if a, err := firstShared(t.Context(), nodes, ask); a != nil || !errors.Is(err, dead) {
			t.Errorf("%v, %v", a, err)
		}
		if a, err := firstShared(t.Context(), nil, ask); a != nil || err == nil {
			t.Errorf("nobody gave %v, %v", a, err)
		}
	})
}
