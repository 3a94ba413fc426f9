package history

import (
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Kind is what a request asks.
type Kind uint8

const (
	Get         Kind = iota // read the key
	Put                     // write Value
	PutNew                  // write Value if the key does not exist (If-None-Match: *)
	PutMatch                // write Value if the key holds Match (If-Match)
	Delete                  // remove the key
	DeleteMatch             // remove the key if it holds Match
)

// Request is one request for one key. Values are never empty and never written twice.
type Request struct {
	Kind  Kind
	Key   string
	Value string
	Match string
}

// Outcome is what the client was told.
type Outcome uint8

const (
	Unknown  Outcome = iota // no answer
	Done                    // it happened; for Get, the key holds Answer.Value
	Refused                 // the condition does not hold
	Missing                 // the key does not exist
	Conflict                // another write was under way; nothing happened
)

// Answer is an outcome, with the value that a Get read.
type Answer struct {
	Outcome Outcome
	Value   string
}

// Recorder collects requests from many clients. Times are those of its own clock.
type Recorder struct {
	start time.Time

	mu   sync.Mutex // guards the rest
	ops  []porcupine.Operation
	open map[int]bool // unanswered: index in ops
}

// NewRecorder begins a history.
func NewRecorder() *Recorder {
	return &Recorder{start: time.Now(), open: make(map[int]bool)}
}

func (r *Recorder) now() int64 { return int64(time.Since(r.start)) }

// Begin records that a client sends a request and gives the number to end it with.
func (r *Recorder) Begin(client int, req Request) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.ops)
	r.ops = append(r.ops, porcupine.Operation{ClientId: client, Input: req, Call: r.now()})
	r.open[n] = true
	return n
}

// End records the answer. An unknown one stays open until Settle.
func (r *Recorder) End(n int, a Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a.Outcome == Unknown {
		return
	}
	r.ops[n].Output, r.ops[n].Return = a, r.now()
	delete(r.open, n)
}

// Settle is called when it is certain that no request sent so far can still take effect,
// as when the only process has been killed: what is unanswered happened before this
// moment or never.
func (r *Recorder) Settle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := range r.open {
		r.ops[n].Output, r.ops[n].Return = Answer{Outcome: Unknown}, r.now()
	}
	clear(r.open)
}

// Len is the number of requests recorded.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ops)
}

// Unanswered counts the requests whose outcome is unknown.
func (r *Recorder) Unanswered() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.open)
	for _, op := range r.ops {
		if a, ok := op.Output.(Answer); ok && a.Outcome == Unknown {
			n++
		}
	}
	return n
}
