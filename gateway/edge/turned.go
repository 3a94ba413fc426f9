package edge

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// turnedEvery is the time between lines of the log about connections that were turned away for one reason.
const turnedEvery = 10 * time.Second

// why a connection was turned away, in the log.
type why string

const (
	byRule    why = "its address is not served"
	bySource  why = "its source has too many"
	byTotal   why = "there are too many"
	forOthers why = "it waited, and made room for another"
)

// turned tells in the log of connections that were turned away: a line for many, since strangers decide how many there are.
type turned struct {
	logger *slog.Logger

	mu      sync.Mutex
	waiting map[why]*turnedLine // guarded by mu
}

// turnedLine is a line to come.
type turnedLine struct {
	count int
	last  netip.Addr
}

// note counts a connection. Its line comes after turnedEvery.
func (t *turned) note(reason why, from netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := t.waiting[reason]
	if line == nil {
		if t.waiting == nil {
			t.waiting = make(map[why]*turnedLine)
		}
		line = new(turnedLine)
		t.waiting[reason] = line
		time.AfterFunc(turnedEvery, func() { t.tell(reason) })
	}
	line.count++
	line.last = from
}

func (t *turned) tell(reason why) {
	t.mu.Lock()
	line := t.waiting[reason]
	delete(t.waiting, reason)
	t.mu.Unlock()
	t.logger.Warn("connections were turned away", "reason", string(reason), "count", line.count, "last_from", line.last.String())
}
