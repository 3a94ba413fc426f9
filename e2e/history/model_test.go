package history

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// op is a request for the key k with its times.
func op(call, end int64, req Request, a Answer) porcupine.Operation {
	req.Key = "k"
	return porcupine.Operation{Input: req, Output: a, Call: call, Return: end}
}

func TestModel(t *testing.T) {
	done, missing, refused := Answer{Outcome: Done}, Answer{Outcome: Missing}, Answer{Outcome: Refused}
	unknown, conflict := Answer{Outcome: Unknown}, Answer{Outcome: Conflict}
	read := func(v string) Answer { return Answer{Outcome: Done, Value: v} }
	put := func(v string) Request { return Request{Kind: Put, Value: v} }
	fresh := func(v string) Request { return Request{Kind: PutNew, Value: v} }
	swap := func(from, to string) Request { return Request{Kind: PutMatch, Match: from, Value: to} }
	get, del := Request{Kind: Get}, Request{Kind: Delete}
	for _, c := range []struct {
		name string
		ops  []porcupine.Operation
		want bool
	}{
		{"read what was written", []porcupine.Operation{op(0, 1, put("a"), done), op(2, 3, get, read("a"))}, true},
		{"read nothing after a write", []porcupine.Operation{op(0, 1, put("a"), done), op(2, 3, get, missing)}, false},
		{"stale read", []porcupine.Operation{op(0, 1, put("a"), done), op(2, 3, put("b"), done), op(4, 5, get, read("a"))}, false},
		{"read of a write under way", []porcupine.Operation{op(0, 9, put("a"), done), op(1, 2, get, read("a")), op(3, 4, get, read("a"))}, true},
		{"read that goes back", []porcupine.Operation{op(0, 1, put("a"), done), op(2, 9, put("b"), done), op(3, 4, get, read("b")), op(5, 6, get, read("a"))}, false},
		{"one creation wins", []porcupine.Operation{op(0, 9, fresh("a"), done), op(0, 9, fresh("b"), refused)}, true},
		{"two creations win", []porcupine.Operation{op(0, 9, fresh("a"), done), op(0, 9, fresh("b"), done)}, false},
		{"all creations refused", []porcupine.Operation{op(0, 9, fresh("a"), refused), op(0, 9, fresh("b"), refused)}, false},
		{"a conflict does nothing", []porcupine.Operation{op(0, 1, fresh("a"), conflict), op(2, 3, get, missing)}, true},
		{"a plain put cannot conflict", []porcupine.Operation{op(0, 1, put("a"), conflict)}, false},
		{"lost update", []porcupine.Operation{op(0, 1, put("a"), done), op(2, 9, swap("a", "b"), done), op(2, 9, swap("a", "c"), done)}, false},
		{"swap in turn", []porcupine.Operation{op(0, 1, put("a"), done), op(2, 9, swap("a", "b"), done), op(2, 9, swap("b", "c"), done)}, true},
		{"swap of nothing", []porcupine.Operation{op(0, 1, swap("a", "b"), missing)}, true},
		{"swap of nothing refused", []porcupine.Operation{op(0, 1, swap("a", "b"), refused)}, true},
		{"read of nothing refused", []porcupine.Operation{op(0, 1, get, refused)}, false},
		{"an unknown write may have happened", []porcupine.Operation{op(0, 5, put("a"), unknown), op(6, 7, get, read("a"))}, true},
		{"an unknown write may not have happened", []porcupine.Operation{op(0, 5, put("a"), unknown), op(6, 7, get, missing)}, true},
		{"an unknown write cannot come later", []porcupine.Operation{op(0, 5, put("a"), unknown), op(6, 7, get, missing), op(8, 9, get, read("a"))}, false},
		{"a deletion undone", []porcupine.Operation{op(0, 1, put("a"), done), op(2, 3, del, done), op(4, 5, get, read("a"))}, false},
		{"an unknown deletion", []porcupine.Operation{op(0, 1, put("a"), done), op(2, 3, del, unknown), op(4, 5, get, missing)}, true},
		{"a conditional deletion", []porcupine.Operation{op(0, 1, put("a"), done), op(2, 3, Request{Kind: DeleteMatch, Match: "b"}, refused), op(4, 5, get, read("a"))}, true},
		{"a wrong conditional deletion", []porcupine.Operation{op(0, 1, put("a"), done), op(2, 3, Request{Kind: DeleteMatch, Match: "b"}, done)}, false},
	} {
		if got := porcupine.CheckOperations(modelOf("", step), c.ops); got != c.want {
			t.Errorf("%s: linearizable is %v, want %v", c.name, got, c.want)
		}
	}
}

func TestRecorder(t *testing.T) {
	r := NewRecorder()
	a := r.Begin(1, Request{Kind: Put, Key: "x", Value: "1"})
	b := r.Begin(2, Request{Kind: Put, Key: "y", Value: "2"})
	r.End(a, Answer{Outcome: Done})
	r.End(b, Answer{Outcome: Unknown})
	r.Settle()
	if r.Len() != 2 || r.Unanswered() != 1 {
		t.Errorf("%d requests, %d unanswered; want 2 and 1", r.Len(), r.Unanswered())
	}
	r.End(r.Begin(1, Request{Kind: Get, Key: "y"}), Answer{Outcome: Missing})
	if err := r.Check(time.Minute); err != nil {
		t.Error(err)
	}
	r.End(r.Begin(1, Request{Kind: Get, Key: "x"}), Answer{Outcome: Missing})
	if err := r.Check(time.Minute); err == nil {
		t.Error("a lost write is not seen")
	}
}
