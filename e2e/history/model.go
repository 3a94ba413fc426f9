package history

import "fmt"

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
	case answer.Outcome == Missing && a.Outcome == Refused && req.Kind != Get && req.Kind != Head:
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
	case Get, Head:
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
