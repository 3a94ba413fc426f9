package s3op

import (
	"strconv"

	"shoal/acl"
	"shoal/gateway/audit"
)

// Decisions collects what is decided of one request, for the access record. The zero value has none.
type Decisions struct {
	allowed, denied int
	first           acl.Decision // the first denial, or else the first of all
	action          string       // it was about
	partly          bool         // the denials were of parts, and the rest went on
}

// Note adds a decision.
func (d *Decisions) Note(action string, one *acl.Decision) {
	if d.allowed+d.denied == 0 || !one.Allowed && d.denied == 0 {
		d.first, d.action = *one, action
	}
	if one.Allowed {
		d.allowed++
	} else {
		d.denied++
	}
}

// Denial gives what the first denial rests on; ok is false when there was none.
func (d *Decisions) Denial() (reason acl.Reason, ok bool) { return d.first.Reason, d.denied > 0 }

// Words gives the decision as the record tells it, and its reason; both "" when there was none.
func (d *Decisions) Words() (decision, reason string) {
	switch {
	case d.allowed+d.denied == 0:
		return "", ""
	case d.denied == 0:
		decision = audit.Allowed
	default:
		decision = audit.Denied
	}
	reason = d.action + " " + d.first.String()
	if d.partly {
		reason += ", in " + strconv.Itoa(d.denied) + " of the parts"
		if d.allowed > 0 {
			decision = audit.Partly
		}
	}
	return decision, reason
}
