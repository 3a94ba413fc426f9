package history

import (
	"fmt"
	"time"

	"github.com/anishathalye/porcupine"
)

// step gives the states that a key may be in after a request met state and was answered
// so. A state is the value held, "" where there is none. No states: the answer is wrong.
func step(state string, req Request, a Answer) []string {
	after, answer := apply(state, req)
	switch {
	case a.Outcome == Unknown && after != state:
		return []string{state, after}
	case a.Outcome == Unknown:
		return []string{state}
	case a.Outcome == Conflict && (req.Kind == PutNew || req.Kind == PutMatch || req.Kind == DeleteMatch):
		return []string{state}
	case answer.Outcome == Missing && a.Outcome == Refused && req.Kind != Get:
		// A condition on a key that does not exist: both answers are met at S3.
		return []string{state}
	case a != answer:
		return nil
	}
	return []string{after}
}

// apply is the store as S3 describes it: what a request does and is answered
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html).
func apply(state string, req Request) (after string, a Answer) {
	switch req.Kind {
	case Get:
		if state == "" {
			return state, Answer{Outcome: Missing}
		}
		return state, Answer{Outcome: Done, Value: state}
	case Put:
		return req.Value, Answer{Outcome: Done}
	case PutNew:
		if state != "" {
			return state, Answer{Outcome: Refused}
		}
		return req.Value, Answer{Outcome: Done}
	case PutMatch:
		switch state {
		case "":
			return state, Answer{Outcome: Missing}
		case req.Match:
			return req.Value, Answer{Outcome: Done}
		}
		return state, Answer{Outcome: Refused}
	case Delete:
		return "", Answer{Outcome: Done}
	case DeleteMatch:
		switch state {
		case "":
			return state, Answer{Outcome: Missing}
		case req.Match:
			return "", Answer{Outcome: Done}
		}
		return state, Answer{Outcome: Refused}
	default:
		panic(fmt.Sprintf("request of kind %d", req.Kind))
	}
}

// model describes a store of independent keys to the checker.
func model() porcupine.Model {
	n := porcupine.NondeterministicModel{
		Partition: byKey,
		Init:      func() []any { return []any{""} },
		Step: func(state, input, output any) []any {
			var next []any
			for _, s := range step(state.(string), input.(Request), output.(Answer)) {
				next = append(next, s)
			}
			return next
		},
		Equal: func(a, b any) bool { return a == b },
	}
	return n.ToModel()
}

func byKey(ops []porcupine.Operation) [][]porcupine.Operation {
	index := make(map[string]int)
	var parts [][]porcupine.Operation
	for _, op := range ops {
		key := op.Input.(Request).Key
		i, ok := index[key]
		if !ok {
			i = len(parts)
			index[key] = i
			parts = append(parts, nil)
		}
		parts[i] = append(parts[i], op)
	}
	return parts
}

// Check is nil when some order explains the history. It settles what is open first. A
// search that is not done within the time is an error too.
func (r *Recorder) Check(within time.Duration) error {
	r.Settle()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, part := range byKey(r.ops) {
		key := part[0].Input.(Request).Key
		switch result := porcupine.CheckOperationsTimeout(model(), part, within); result {
		case porcupine.Ok:
		case porcupine.Illegal:
			return fmt.Errorf("no order explains the %d requests for key %q: %s", len(part), key, describe(shrink(part)))
		default:
			return fmt.Errorf("the %d requests for key %q were not checked within %v", len(part), key, within)
		}
	}
	return nil
}

// shrink finds the shortest beginning of a history that no order explains, so that what
// is shown ends where it went wrong.
func shrink(ops []porcupine.Operation) []porcupine.Operation {
	low, high := 0, len(ops)
	for low < high {
		mid := (low + high) / 2
		if porcupine.CheckOperationsTimeout(model(), ops[:mid], time.Second) == porcupine.Illegal {
			high = mid
		} else {
			low = mid + 1
		}
	}
	return ops[max(0, high-12):high]
}

func describe(ops []porcupine.Operation) string {
	text := "the last are"
	for _, op := range ops {
		text += fmt.Sprintf("\n  client %d, %v to %v: %+v -> %+v", op.ClientId,
			time.Duration(op.Call), time.Duration(op.Return), op.Input, op.Output)
	}
	return text
}
