package cluster

import (
	"fmt"
	"strings"
	"sync"
)

// outputMax bounds what is kept of a process's output, in bytes: as much of its
// beginning and as much of its end.
const outputMax = 64 << 10

// output keeps the beginning and the end of what is written to it.
type output struct {
	mu      sync.Mutex // guards the rest
	head    []byte
	tail    []byte
	skipped int64
}

// Write never fails.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(p)
	if room := outputMax - len(o.head); room > 0 {
		room = min(room, len(p))
		o.head = append(o.head, p[:room]...)
		p = p[room:]
	}
	o.tail = append(o.tail, p...)
	if extra := len(o.tail) - outputMax; extra > outputMax {
		o.skipped += int64(extra)
		o.tail = append(o.tail[:0], o.tail[extra:]...)
	}
	return n, nil
}

// String is what was kept.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var b strings.Builder
	b.Write(o.head)
	if o.skipped > 0 {
		fmt.Fprintf(&b, "\n... %d bytes ...\n", o.skipped)
	}
	b.Write(o.tail)
	return b.String()
}
