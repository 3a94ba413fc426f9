package history

import (
	"fmt"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// on is a request for the bucket b with its times.
func on(call, end int64, req Request, a Answer) porcupine.Operation {
	req.Bucket = "b"
	return porcupine.Operation{Input: req, Output: a, Call: call, Return: end}
}

func TestBucketModel(t *testing.T) {
	done, unknown := Answer{Outcome: Done}, Answer{Outcome: Unknown}
	noBucketYet, notEmpty, missing := Answer{Outcome: NoBucket}, Answer{Outcome: NotEmpty}, Answer{Outcome: Missing}
	put := func(key, value string) Request { return Request{Kind: Put, Key: key, Value: value} }
	get := func(key string) Request { return Request{Kind: Get, Key: key} }
	del := func(key string) Request { return Request{Kind: Delete, Key: key} }
	listed := func(held map[string]string) Answer { return Answer{Outcome: Done, Value: Listing(held)} }
	mk, rm, list := Request{Kind: MakeBucket}, Request{Kind: RemoveBucket}, Request{Kind: List}
	for _, c := range []struct {
		name string
		ops  []porcupine.Operation
		want bool
	}{
		{"a life", []porcupine.Operation{on(0, 1, mk, done), on(2, 3, put("x", "1"), done), on(4, 5, list, listed(map[string]string{"x": "1"})),
			on(6, 7, rm, notEmpty), on(8, 9, del("x"), done), on(10, 11, rm, done), on(12, 13, get("x"), noBucketYet)}, true},
		{"removed with a key in it", []porcupine.Operation{on(0, 1, mk, done), on(2, 3, put("x", "1"), done), on(4, 5, rm, done)}, false},
		{"a write into nothing", []porcupine.Operation{on(0, 1, put("x", "1"), done)}, false},
		{"made twice by its owner", []porcupine.Operation{on(0, 1, mk, done), on(2, 3, mk, done), on(4, 5, mk, Answer{Outcome: Exists})}, true},
		{"old keys in a new bucket", []porcupine.Operation{on(0, 1, mk, done), on(2, 3, put("x", "1"), unknown), on(4, 5, rm, done),
			on(6, 7, mk, done), on(8, 9, get("x"), Answer{Outcome: Done, Value: "1"})}, false},
		{"a write before or after a removal", []porcupine.Operation{on(0, 1, mk, done), on(2, 9, put("x", "1"), noBucketYet), on(3, 4, rm, done)}, true},
		{"a listing that tears", []porcupine.Operation{on(0, 1, mk, done), on(2, 3, put("x", "1"), done), on(4, 5, put("y", "2"), done),
			on(6, 7, list, listed(map[string]string{"y": "2"}))}, false},
		{"a listing out of order", []porcupine.Operation{on(0, 1, mk, done), on(2, 20, list, listed(map[string]string{"y": "2"})), on(3, 4, put("x", "1"), done),
			on(5, 6, put("y", "2"), done)}, false},
		{"a listing in the middle", []porcupine.Operation{on(0, 1, mk, done), on(2, 20, list, listed(map[string]string{"x": "1"})), on(3, 4, put("x", "1"), done),
			on(5, 6, put("y", "2"), done)}, true},
		{"an unknown removal", []porcupine.Operation{on(0, 1, mk, done), on(2, 9, rm, unknown), on(10, 11, get("x"), missing)}, true},
		{"an unknown removal that happened", []porcupine.Operation{on(0, 1, mk, done), on(2, 9, rm, unknown), on(10, 11, get("x"), noBucketYet), on(12, 13, list, listed(nil))}, false},
	} {
		if got := porcupine.CheckOperations(modelOf(noBucket, stepBucket), c.ops); got != c.want {
			t.Errorf("%s: linearizable is %v, want %v", c.name, got, c.want)
		}
	}
}

func TestListing(t *testing.T) {
	for _, want := range []map[string]string{{}, {"a": "1"}, {"b": "2", "a": "1"}} {
		if got := held(Listing(want)); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%v became %v", want, got)
		}
	}
}

// TestListingAsReads lets the check of single keys find a key that a listing lost.
func TestListingAsReads(t *testing.T) {
	for _, c := range []struct {
		listed map[string]string
		want   bool
	}{
		{map[string]string{"x": "1", "y": "2"}, true},
		{map[string]string{"x": "1"}, false},
		{map[string]string{"x": "1", "y": "3"}, false},
	} {
		r := NewRecorder()
		for key, value := range map[string]string{"x": "1", "y": "2"} {
			r.End(r.Begin(1, Request{Kind: Put, Key: key, Value: value}), Answer{Outcome: Done})
		}
		r.End(r.Begin(1, Request{Kind: List}), Answer{Outcome: Done, Value: Listing(c.listed)})
		r.Begin(1, Request{Kind: List})
		if err := r.Check(time.Minute); (err == nil) != c.want {
			t.Errorf("listed %v: %v", c.listed, err)
		}
	}
}

// TestHasten checks that a write without an answer ends when its value was seen, and that
// one never seen stays open.
func TestHasten(t *testing.T) {
	ops := hasten([]porcupine.Operation{
		on(0, 100, Request{Kind: Put, Value: "1"}, Answer{}),
		on(0, 100, Request{Kind: Put, Value: "2"}, Answer{}),
		on(0, 100, Request{Kind: Get}, Answer{}),
		on(5, 9, Request{Kind: Get}, Answer{Outcome: Done, Value: "1"}),
		on(5, 8, Request{Kind: DeleteMatch, Match: "1"}, Answer{Outcome: Done}),
	})
	if len(ops) != 4 || ops[0].Return != 8 || ops[1].Return != 100 {
		t.Errorf("%+v", ops)
	}
}
