package history

import (
	"maps"
	"strings"
)

// A bucket's state is noBucket, or what its keys hold as Listing writes it.
const noBucket = "no bucket"

// stepBucket gives the states that a bucket may be in after a request met state and was
// answered so, as step does for one key.
func stepBucket(state string, req Request, a Answer) []string {
	switch req.Kind {
	case List, MakeBucket, RemoveBucket:
		return stepWhole(state, req, a)
	}
	if state == noBucket {
		if a.Outcome == NoBucket || a.Outcome == Unknown {
			return []string{state}
		}
		return nil
	}
	keys := held(state)
	var next []string
	for _, value := range step(keys[req.Key], req, a) {
		after := maps.Clone(keys)
		after[req.Key] = value
		if value == "" {
			delete(after, req.Key)
		}
		next = append(next, Listing(after))
	}
	return next
}

// stepWhole is stepBucket for a request that concerns the bucket as a whole.
func stepWhole(state string, req Request, a Answer) []string {
	after, answer := state, Answer{Outcome: Done}
	switch {
	case req.Kind == MakeBucket && state == noBucket:
		after = ""
	case req.Kind == MakeBucket:
		// Its owner may create a bucket again, which changes nothing.
		if a.Outcome == Done {
			return []string{state}
		}
		answer.Outcome = Exists
	case state == noBucket:
		answer.Outcome = NoBucket
	case req.Kind == List:
		answer.Value = state
	case state != "":
		answer.Outcome = NotEmpty
	default:
		after = noBucket
	}
	switch {
	case a.Outcome == Unknown && after != state:
		return []string{state, after}
	case a.Outcome == Unknown, a.Outcome == Conflict && req.Kind != List:
		return []string{state}
	case a != answer:
		return nil
	}
	return []string{after}
}

// observed gives the values that an answer shows to have been written before.
func observed(req Request, a Answer) []string {
	switch {
	case a.Outcome != Done:
		return nil
	case (req.Kind == Get || req.Kind == Head) && a.Value != "":
		return []string{a.Value}
	case req.Kind == PutMatch, req.Kind == DeleteMatch:
		return []string{req.Match}
	case req.Kind == List:
		var values []string
		for entry := range strings.SplitSeq(a.Value, ",") {
			if _, value, ok := strings.Cut(entry, "="); ok {
				values = append(values, value)
			}
		}
		return values
	}
	return nil
}
