package api

import (
	"encoding/json"
	"strings"
	"time"
)

// FilterForm says how a rule writes down which objects it is for. It means nothing, and is kept
// to give the rule back as it was set.
type FilterForm uint8

const (
	FilterEmpty  FilterForm = iota // a Filter with nothing in it
	FilterLegacy                   // a Prefix without Filter
	FilterOne                      // a Filter with one condition
	FilterAnd                      // a Filter with several in an And
)

// LifecycleRule says what becomes of objects of a bucket with time. Numbers are 0, and times
// zero, where the rule does not say.
type LifecycleRule struct {
	ID       string
	Disabled bool `json:",omitempty"`

	// Which objects the rule is for: those that fit everything.
	Form   FilterForm
	Prefix string `json:",omitempty"`
	Tags   []Tag  `json:",omitempty"`
	Above  *int64 `json:",omitempty"` // size in bytes, exclusive
	Below  *int64 `json:",omitempty"` // size in bytes, exclusive

	// What becomes of them.
	ExpireDays      int       `json:",omitempty"` // current versions
	ExpireDate      time.Time `json:",omitzero"`  // current versions, at a midnight
	ExpireMarkers   bool      `json:",omitempty"` // delete markers with nothing below them
	NoncurrentDays  int       `json:",omitempty"`
	NoncurrentNewer int       `json:",omitempty"` // noncurrent versions that are kept whatever their age
	AbortDays       int       `json:",omitempty"` // uploads that were not completed

	Transition           *LifecycleTransition `json:",omitempty"` // of current versions
	NoncurrentTransition *LifecycleTransition `json:",omitempty"`
}

// LifecycleTransition gives versions a storage class with less redundancy.
type LifecycleTransition struct {
	Class StorageClass
	Days  int       `json:",omitempty"` // after a version was made, or became noncurrent; 0 is the midnight that follows
	Date  time.Time `json:",omitzero"`  // in place of Days, at a midnight; for current versions only
	Newer int       `json:",omitempty"` // noncurrent versions that are left alone whatever their age
}

// TransitionSizeMin is the size in bytes below which versions are not transitioned by rules that say
// nothing about size
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-transition-general-considerations.html).
const TransitionSizeMin = 128 << 10

// Formats of the document that AppendLifecycle makes. One with transitions has its own, so that a release
// that does not know them refuses it.
const (
	lifecycleFormat           = 1
	lifecycleTransitionFormat = 2
)

// MaxLifecycleRules is how many rules a bucket may have.
const MaxLifecycleRules = 1000

type lifecycleDocument struct {
	Format int
	Rules  []LifecycleRule
}

// AppendLifecycle encodes rules as the document ConfigLifecycle.
func AppendLifecycle(b []byte, rules []LifecycleRule) ([]byte, error) {
	format := lifecycleFormat
	for i := range rules {
		if rules[i].Transition != nil || rules[i].NoncurrentTransition != nil {
			format = lifecycleTransitionFormat
		}
	}
	text, err := json.Marshal(lifecycleDocument{format, rules})
	return append(b, text...), err
}

// ParseLifecycle decodes what AppendLifecycle made. Corrupt for anything else.
func ParseLifecycle(doc []byte) ([]LifecycleRule, error) {
	var d lifecycleDocument
	err := json.Unmarshal(doc, &d)
	if err != nil || d.Format < lifecycleFormat || d.Format > lifecycleTransitionFormat || len(d.Rules) > MaxLifecycleRules {
		return nil, &Error{Kind: Corrupt, Op: "api.ParseLifecycle", Err: err}
	}
	return d.Rules, nil
}

// Subject is an object that rules are held against.
type Subject struct {
	Key      string
	Size     int64
	Tags     []Tag
	Modified time.Time
	Class    StorageClass
}

// Fits says whether the rule is for an object. A disabled rule is for none.
func (r *LifecycleRule) Fits(s *Subject) bool {
	if r.Disabled || !strings.HasPrefix(s.Key, r.Prefix) ||
		r.Above != nil && s.Size <= *r.Above || r.Below != nil && s.Size >= *r.Below {
		return false
	}
	for _, want := range r.Tags {
		found := false
		for _, t := range s.Tags {
			found = found || t == want
		}
		if !found {
			return false
		}
	}
	return true
}

// Expires gives when the rule expires a current version that it is for; false when it never does.
func (r *LifecycleRule) Expires(s *Subject) (time.Time, bool) {
	switch {
	case r.ExpireDays > 0:
		return DaysLater(s.Modified, r.ExpireDays), true
	case !r.ExpireDate.IsZero():
		return r.ExpireDate, true
	}
	return time.Time{}, false
}

// Transits gives when the rule gives a current version that it is for another storage class; false when
// it never does.
func (r *LifecycleRule) Transits(s *Subject) (time.Time, bool) {
	t := r.Transition
	switch {
	case t == nil || r.small(s) || s.Class >= t.Class:
		return time.Time{}, false
	case !t.Date.IsZero():
		return t.Date, true
	}
	return DaysLater(s.Modified, t.Days), true
}

// NoncurrentTransits is Transits for a version that became noncurrent at a time, and is older than so many
// other noncurrent ones.
func (r *LifecycleRule) NoncurrentTransits(s *Subject, since time.Time, newer int) (time.Time, bool) {
	t := r.NoncurrentTransition
	if t == nil || r.small(s) || s.Class >= t.Class || newer < t.Newer {
		return time.Time{}, false
	}
	return DaysLater(since, t.Days), true
}

// small says that a version is too small to be transitioned.
func (r *LifecycleRule) small(s *Subject) bool {
	return r.Above == nil && r.Below == nil && s.Size < TransitionSizeMin
}

// DaysLater is the midnight (UTC) after so many days have passed, as S3 counts days
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html).
func DaysLater(t time.Time, days int) time.Time {
	year, month, day := t.UTC().Date()
	return time.Date(year, month, day+days+1, 0, 0, 0, 0, time.UTC)
}

// Expiration finds the rule that expires a current version first, nil for none.
func Expiration(rules []LifecycleRule, s *Subject) (rule *LifecycleRule, at time.Time) {
	for i := range rules {
		r := &rules[i]
		if !r.Fits(s) {
			continue
		}
		if t, ok := r.Expires(s); ok && (rule == nil || t.Before(at)) {
			rule, at = r, t
		}
	}
	return rule, at
}
