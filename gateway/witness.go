package gateway

import (
	"context"
	"path/filepath"
	"time"

	"shoal/gateway/audit"
)

// retellAfter are the pauses after which the newest checkpoints are told again, the last one over and over: soon
// after the start, when nobody may have listened yet, and then for members that were away.
var retellAfter = [...]time.Duration{5 * time.Second, 15 * time.Second, 5 * time.Minute}

// openKeeper opens where checkpoints are kept, and listens to those of other members.
func (s *Server) openKeeper() (err error) {
	w, log := s.cfg.Witnesses, s.cfg.Logger
	if w == nil {
		return nil
	}
	if s.keeper, err = audit.NewKeeper(filepath.Join(s.cfg.Logs.Dir, audit.CheckpointDir), w.KeyOf, log); err != nil {
		return err
	}
	w.Listen(func(from string, text []byte) {
		if err := s.keeper.Heard(from, text); err != nil {
			log.Warn("a checkpoint of a peer's log is not kept", "node_id", from, "err", err)
		}
	})
	return nil
}

// witness keeps a checkpoint of an own log and tells it to the other members.
func (s *Server) witness(c *audit.Checkpoint) {
	if err := s.keeper.Keep(c); err != nil {
		s.cfg.Logger.Error("a checkpoint of the log is not kept", "log", c.Log, "err", err)
	}
	s.tell(c)
}

func (s *Server) tell(c *audit.Checkpoint) {
	if err := s.cfg.Witnesses.Tell(c.Text()); err != nil {
		s.cfg.Logger.Warn("a checkpoint of the log is not told to peers", "log", c.Log, "err", err)
	}
}

// retell tells the newest checkpoints again from time to time, until ctx ends.
func (s *Server) retell(ctx context.Context) error {
	t := time.NewTimer(retellAfter[0])
	defer t.Stop()
	for i := 0; ; i = min(i+1, len(retellAfter)-1) {
		t.Reset(retellAfter[i])
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		for _, log := range []string{audit.AccessLog, audit.ActLog} {
			if c := s.keeper.Newest(s.cfg.Witnesses.Self(), log); c != nil {
				s.tell(c)
			}
		}
	}
}
