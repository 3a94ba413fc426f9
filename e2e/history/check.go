package history

import (
	"fmt"
	"time"

	"github.com/anishathalye/porcupine"
)

// stepper is step or stepBucket.
type stepper func(state string, req Request, a Answer) []string

// modelOf describes to the checker one thing that begins in a state.
func modelOf(begin string, next stepper) porcupine.Model {
	n := porcupine.NondeterministicModel{
		Init: func() []any { return []any{begin} },
		Step: func(state, input, output any) []any {
			var states []any
			for _, s := range next(state.(string), input.(Request), output.(Answer)) {
				states = append(states, s)
			}
			return states
		},
		Equal: func(a, b any) bool { return a == b },
	}
	return n.ToModel()
}

// Check is nil when some order explains the history of every key, the keys taken one by
// one: a List counts as a read of each. It settles what is open first. A search that is
// not done within the time is an error too.
func (r *Recorder) Check(within time.Duration) error {
	return r.check(within, modelOf("", step), func(ops []porcupine.Operation) [][]porcupine.Operation {
		return split(project(ops), func(req Request) string { return req.Bucket + "/" + req.Key })
	})
}

// CheckBuckets is Check for buckets that do not exist when the history begins, each taken
// as a whole: a List sees all keys at one moment, and a bucket that goes is empty.
func (r *Recorder) CheckBuckets(within time.Duration) error {
	return r.check(within, modelOf(noBucket, stepBucket), func(ops []porcupine.Operation) [][]porcupine.Operation {
		return split(ops, func(req Request) string { return req.Bucket })
	})
}

func (r *Recorder) check(within time.Duration, model porcupine.Model, parts func([]porcupine.Operation) [][]porcupine.Operation) error {
	r.Settle()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, part := range parts(r.ops) {
		part = hasten(part)
		if len(part) == 0 {
			continue
		}
		first := part[0].Input.(Request)
		where := fmt.Sprintf("the %d requests for %q in %q", len(part), first.Key, first.Bucket)
		switch porcupine.CheckOperationsTimeout(model, part, within) {
		case porcupine.Ok:
		case porcupine.Illegal:
			return fmt.Errorf("no order explains %s: %s", where, describe(shrink(model, part)))
		default:
			return fmt.Errorf("%s were not checked within %v", where, within)
		}
	}
	return nil
}

// split parts a history by what its requests concern.
func split(ops []porcupine.Operation, by func(Request) string) [][]porcupine.Operation {
	index := make(map[string]int)
	var parts [][]porcupine.Operation
	for _, op := range ops {
		name := by(op.Input.(Request))
		i, ok := index[name]
		if !ok {
			i = len(parts)
			index[name] = i
			parts = append(parts, nil)
		}
		parts[i] = append(parts[i], op)
	}
	return parts
}

// project turns each List into reads of every key that the history knows in the bucket.
func project(ops []porcupine.Operation) []porcupine.Operation {
	keys := make(map[string]map[string]bool)
	for _, op := range ops {
		req := op.Input.(Request)
		if keys[req.Bucket] == nil {
			keys[req.Bucket] = make(map[string]bool)
		}
		if req.Kind != List {
			keys[req.Bucket][req.Key] = true
			continue
		}
		for key := range held(op.Output.(Answer).Value) {
			keys[req.Bucket][key] = true
		}
	}
	var all []porcupine.Operation
	for _, op := range ops {
		req, a := op.Input.(Request), op.Output.(Answer)
		if req.Kind != List {
			all = append(all, op)
			continue
		}
		if a.Outcome != Done {
			continue
		}
		listed := held(a.Value)
		for key := range keys[req.Bucket] {
			read := Answer{Outcome: Done, Value: listed[key]}
			if read.Value == "" {
				read.Outcome = Missing
			}
			op.Input, op.Output = Request{Kind: Get, Bucket: req.Bucket, Key: key}, read
			all = append(all, op)
		}
	}
	return all
}

// hasten makes the search short without changing what it finds: reads without an answer
// are left out, and a write without an answer ends when the first answer that shows its
// value has come, for values are written once.
func hasten(ops []porcupine.Operation) []porcupine.Operation {
	seen := make(map[string]int64) // value: when it had been seen first
	for _, op := range ops {
		for _, value := range observed(op.Input.(Request), op.Output.(Answer)) {
			if at, ok := seen[value]; !ok || op.Return < at {
				seen[value] = op.Return
			}
		}
	}
	var kept []porcupine.Operation
	for _, op := range ops {
		req, a := op.Input.(Request), op.Output.(Answer)
		if a.Outcome == Unknown {
			if req.Kind == Get || req.Kind == Head || req.Kind == List {
				continue
			}
			if at, ok := seen[req.Value]; ok && req.Value != "" && at > op.Call {
				op.Return = min(op.Return, at)
			}
		}
		kept = append(kept, op)
	}
	return kept
}

// shrink finds the shortest beginning of a history that no order explains, so that what
// is shown ends where it went wrong.
func shrink(model porcupine.Model, ops []porcupine.Operation) []porcupine.Operation {
	low, high := 0, len(ops)
	for low < high {
		mid := (low + high) / 2
		if porcupine.CheckOperationsTimeout(model, ops[:mid], time.Second) == porcupine.Illegal {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return ops[max(0, high-24):high]
}

func describe(ops []porcupine.Operation) string {
	text := "the last are"
	for _, op := range ops {
		text += fmt.Sprintf("\n  client %d, %v to %v: %+v -> %+v", op.ClientId,
			time.Duration(op.Call), time.Duration(op.Return), op.Input, op.Output)
	}
	return text
}
