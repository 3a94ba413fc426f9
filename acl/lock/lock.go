// Package lock decides what object lock allows: whether a version may be removed, and whether its
// retention may be changed (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html).
//
// What holds: nothing is decided by a clock of this package's own. Whoever asks says what time it is,
// and must say a time that has surely passed: a retention ends when the time given is not before it. A
// mode that is not known protects like compliance, so that a damaged record never frees a version.
//
// What it deliberately does not do: it does not ask who may bypass governance retention. Bypass is
// a permission, which has been decided when these functions are called.
package lock

import "time"

// Mode is how strictly a version is retained. Numbers are stored and never change.
type Mode uint8

const (
	// None is no retention.
	None Mode = iota
	// Governance retention can be bypassed by those who have the permission.
	Governance
	// Compliance retention can be bypassed by nobody.
	Compliance
)

// Valid says whether the mode is one that a retention may have.
func (m Mode) Valid() bool { return m == Governance || m == Compliance }

// String names the mode as S3 does.
func (m Mode) String() string {
	switch m {
	case None:
		return ""
	case Governance:
		return "GOVERNANCE"
	case Compliance:
		return "COMPLIANCE"
	}
	return "UNKNOWN"
}

// ParseMode reads what String gives for a retention's mode.
func ParseMode(text string) (Mode, bool) {
	switch text {
	case "GOVERNANCE":
		return Governance, true
	case "COMPLIANCE":
		return Compliance, true
	}
	return None, false
}

// Retention keeps a version until a time. The zero value is none.
type Retention struct {
	Mode  Mode
	Until int64 // Unix nanoseconds; the first instant at which it does not hold any more
}

// Active says whether the retention still holds at now.
func (r Retention) Active(now int64) bool { return r.Mode != None && now < r.Until }

// State is all that locks one version.
type State struct {
	Retention
	LegalHold bool
}

// Decision is what object lock says of a request.
type Decision uint8

const (
	// Allowed: no lock stands against it.
	Allowed Decision = iota
	// HeldLegally: a legal hold protects the version, and nothing bypasses it.
	HeldLegally
	// Retained: a governance retention protects the version, and it was not bypassed.
	Retained
	// RetainedForGood: a compliance retention protects the version.
	RetainedForGood
)

// String says why, for logs.
func (d Decision) String() string {
	switch d {
	case Allowed:
		return "allowed"
	case HeldLegally:
		return "legal hold"
	case Retained:
		return "governance retention"
	}
	return "compliance retention"
}

// Remove decides whether a version may be removed at now. bypass says that whoever asks asked to
// bypass governance retention, and may.
func (s State) Remove(now int64, bypass bool) Decision {
	if s.LegalHold {
		return HeldLegally
	}
	return s.Retention.give(now, bypass)
}

// give decides whether a retention may be given up at now.
func (r Retention) give(now int64, bypass bool) Decision {
	switch {
	case !r.Active(now):
		return Allowed
	case r.Mode == Governance && bypass:
		return Allowed
	case r.Mode == Governance:
		return Retained
	}
	return RetainedForGood
}

// Replace decides whether the retention to may take this one's place at now. The same mode for at
// least as long is always allowed; anything else gives this one up. Compliance is not turned into
// anything else, and governance into compliance only by those who may bypass it.
func (r Retention) Replace(to Retention, now int64, bypass bool) Decision {
	if to.Mode == r.Mode && to.Until >= r.Until {
		return Allowed
	}
	return r.give(now, bypass)
}

// Greatest periods of a default retention, as S3 has them.
const (
	DaysMax  = 36500
	YearsMax = 100
)

// Default is the retention that a bucket gives to new versions: for days or for years, one of them. The
// zero value is none.
type Default struct {
	Mode  Mode
	Days  uint32
	Years uint32
}

// Valid says whether the default is none, or one that S3 knows.
func (d Default) Valid() bool {
	switch {
	case d == Default{}:
		return true
	case !d.Mode.Valid() || d.Days != 0 && d.Years != 0:
		return false
	case d.Days != 0:
		return d.Days <= DaysMax
	}
	return d.Years != 0 && d.Years <= YearsMax
}

// From gives the retention of a version that is made at now, in Unix nanoseconds. A year has 365 days, as
// in S3's own documentation of the greatest periods.
func (d Default) From(now int64) Retention {
	if d.Mode == None {
		return Retention{}
	}
	days := int64(d.Days) + 365*int64(d.Years)
	return Retention{Mode: d.Mode, Until: now + days*int64(24*time.Hour)}
}
