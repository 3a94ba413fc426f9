package gateway

import (
	"context"
	"time"

	"shoal/gateway/audit"
	"shoal/node/api"
)

const (
	// resolvePause is the pause between two questions whether the store can be asked.
	resolvePause = time.Second
	// resolveWithin bounds the look at one state.
	resolveWithin = 10 * time.Second
)

// resolveActs gives the acts of which the process before has recorded the intent alone their outcome: that it is not known, with
// the state as it is now. What is not done when ctx ends, the next start does.
func (s *Server) resolveActs(ctx context.Context) {
	open, err := s.acts.Unresolved(ctx)
	if err != nil && ctx.Err() == nil {
		s.cfg.Logger.Error("acts without an outcome are not looked for", "err", err)
	}
	if len(open) == 0 || !s.awaitStore(ctx) {
		return
	}
	for i := range open {
		in := &open[i]
		a := in.Act
		a.Time, a.Failed = s.cfg.Now(), api.OutcomeUnknown.String()
		a.After = s.stateNow(ctx, in)
		if ctx.Err() != nil {
			return
		}
		if err := s.acts.Append(&a); err != nil {
			s.cfg.Logger.Error("an act is not on the record", "operation", a.Operation, "target", a.Target, "err", err)
			return
		}
		s.cfg.Logger.Warn("the process has ended during an act: its outcome is not known, and its state is on the record",
			"operation", a.Operation, "target", a.Target, "request_id", a.RequestID, "intent", a.Intent)
	}
}

// awaitStore waits until the store can be asked; false when ctx ends before.
func (s *Server) awaitStore(ctx context.Context) bool {
	t := time.NewTicker(resolvePause)
	defer t.Stop()
	for {
		if _, err := s.cfg.Health.Ready(ctx); err == nil {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-t.C:
		}
	}
}

func (s *Server) stateNow(ctx context.Context, in *audit.Intent) string {
	ctx, cancel := context.WithTimeout(ctx, resolveWithin)
	defer cancel()
	for _, f := range s.states {
		if state, ok := f(ctx, in); ok {
			return state
		}
	}
	return ""
}
