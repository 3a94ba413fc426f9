package node

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"

	"shoal/node/api"
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
