package consensus

import "time"

// noContext is for libraries that ask for a context where there is none to inherit: steps of the
// core, which nobody can cancel half way, and lines of the log. It never ends and holds nothing.
type noContext struct{}

func (noContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (noContext) Done() <-chan struct{}       { return nil }
func (noContext) Err() error                  { return nil }
func (noContext) Value(any) any               { return nil }
