package history

import (
	"maps"
	"slices"
	"strings"
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

	Head         // learn what the key holds, as Get does
	List         // read all keys of the bucket and what they hold
	MakeBucket   // create the bucket
	RemoveBucket // remove the bucket, which must be empty
)

// Request is one request for one key, or for a bucket as a whole. Values are never empty,
// never written twice, and have neither '=' nor ',' in them, nor have keys.
type Request struct {
	Kind   Kind
	Bucket string // may be empty where there is one only
	Key    string
	Value  string
	Match  string
}

// Outcome is what the client was told.
type Outcome uint8

const (
	Unknown  Outcome = iota // no answer
	Done                    // it happened; for Get, the key holds Answer.Value
	Refused                 // the condition does not hold
	Missing                 // the key does not exist
	Conflict                // another write was under way; nothing happened
	NoBucket                // the bucket does not exist
	Exists                  // the bucket exists already
	NotEmpty                // the bucket is not empty
)

// Answer is an outcome, with the value that a Get read, or what a List read as Listing
// writes it.
type Answer struct {
	Outcome Outcome
	Value   string
}

// Listing writes what keys hold, as the answer to a List.
func Listing(held map[string]string) string {
	var b strings.Builder
	for i, key := range slices.Sorted(maps.Keys(held)) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(key + "=" + held[key])
	}
	return b.String()
}

// held reads what Listing wrote.
func held(listing string) map[string]string {
	all := make(map[string]string)
	for entry := range strings.SplitSeq(listing, ",") {
		if key, value, ok := strings.Cut(entry, "="); ok {
			all[key] = value
		}
	}
	return all
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
