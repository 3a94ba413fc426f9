package s3xml

import (
	"strconv"
	"time"

	"shoal/node/api"
)

// MaxLifecycle bounds a document of lifecycle rules in bytes.
const MaxLifecycle = 2 << 20

// RuleError is what is wrong with a rule that is well formed.
type RuleError struct {
	// Argument says that it is a single value that is out of range; otherwise the rule as a
	// whole makes no sense.
	Argument bool
	// Class is the storage class that was named and is none that rules lead to; "" for other errors.
	Class   string
	Message string
}

// Error gives the message.
func (e *RuleError) Error() string { return e.Message }

func argument(message string) error { return &RuleError{Argument: true, Message: message} }
func nonsense(message string) error { return &RuleError{Message: message} }

// ParseLifecycle reads the document of PutBucketLifecycleConfiguration and judges its rules.
// A rule without ID has none. ErrMalformed for what the document cannot be, *RuleError for
// rules that S3 refuses.
func ParseLifecycle(text []byte) ([]api.LifecycleRule, error) {
	p, err := newParser(text, api.MaxLifecycleRules*64)
	if err != nil {
		return nil, err
	}
	var rules []api.LifecycleRule
	err = p.document("LifecycleConfiguration", func(name string) error {
		if name != "Rule" {
			return malformed("element %s", name)
		}
		if len(rules) == api.MaxLifecycleRules {
			return malformed("more than %d rules", api.MaxLifecycleRules)
		}
		r := lifecycleRule{parser: p, once: seen{}}
		err := r.read()
		rules = append(rules, r.LifecycleRule)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(rules) == 0 {
		return nil, malformed("no rules")
	}
	ids := make(map[string]bool)
	for i := range rules {
		if id := rules[i].ID; id != "" && ids[id] {
			return nil, argument("Rule ID must be unique. Found same ID for more than one rule")
		}
		ids[rules[i].ID] = true
	}
	return rules, nil
}

// lifecycleRule is a rule while it is read.
type lifecycleRule struct {
	*parser
	api.LifecycleRule
	once  seen // paths of elements: "Filter/And/Prefix"
	terms int  // conditions of the filter
}

const (
	lifecyclePrefixMax = 1024
	newerNoncurrentMax = 100
)

// read reads the elements inside of a Rule.
func (r *lifecycleRule) read() error {
	err := r.children(func(name string) error {
		switch name {
		case "Transition":
			return r.transition(name, &r.Transition)
		case "NoncurrentVersionTransition":
			return r.transition(name, &r.NoncurrentTransition)
		}
		if err := r.once.again(name); err != nil {
			return err
		}
		switch name {
		case "ID":
			return r.id()
		case "Status":
			return r.status()
		case "Prefix":
			r.Form = api.FilterLegacy
			return r.prefix()
		case "Filter":
			return r.children(r.filter)
		case "Expiration":
			return r.children(r.expiration)
		case "NoncurrentVersionExpiration":
			return r.children(r.noncurrent)
		case "AbortIncompleteMultipartUpload":
			return r.children(func(name string) error {
				if name != "DaysAfterInitiation" {
					return malformed("element %s", name)
				}
				return r.positive(&r.AbortDays, name, "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer")
			})
		}
		return malformed("element %s", name)
	})
	if err != nil {
		return err
	}
	return r.judge()
}

func (r *lifecycleRule) id() (err error) {
	if r.ID, err = r.text(); err == nil && len(r.ID) > ruleIDMax {
		err = argument("ID length should not exceed allowed limit of 255")
	}
	return err
}

func (r *lifecycleRule) status() error {
	text, err := r.text()
	if r.Disabled = text == "Disabled"; err == nil && text != "Enabled" && !r.Disabled {
		err = malformed("Status %s", text)
	}
	return err
}

func (r *lifecycleRule) prefix() (err error) {
	if r.Prefix, err = r.text(); err == nil && len(r.Prefix) > lifecyclePrefixMax {
		err = nonsense("The maximum size of a prefix is 1024.")
	}
	return err
}

// filter reads one element inside of a Filter.
func (r *lifecycleRule) filter(name string) error {
	if name == "And" {
		if err := r.once.again("Filter/And"); err != nil {
			return err
		}
		if r.terms > 0 {
			return malformed("And beside other conditions")
		}
		if err := r.children(r.term); err != nil {
			return err
		}
		if r.Form = api.FilterAnd; r.terms < 2 {
			return malformed("And of less than two conditions")
		}
		return nil
	}
	if r.Form = api.FilterOne; r.terms > 0 {
		return malformed("more than one condition without And")
	}
	return r.term(name)
}

// term reads one condition of a filter.
func (r *lifecycleRule) term(name string) error {
	r.terms++
	if name == "Tag" {
		t, err := r.tag()
		if err != nil {
			return err
		}
		for _, other := range r.Tags {
			if other.Key == t.Key {
				return nonsense("Duplicate Tag Keys are not allowed.")
			}
		}
		if len(r.Tags) == tagsMax {
			return malformed("more than %d tags", tagsMax)
		}
		r.Tags = append(r.Tags, api.Tag(t))
		return nil
	}
	if err := r.once.again("term/" + name); err != nil {
		return err
	}
	switch name {
	case "Prefix":
		return r.prefix()
	case "ObjectSizeGreaterThan":
		return r.size(&r.Above, name, 0)
	case "ObjectSizeLessThan":
		return r.size(&r.Below, name, 1)
	}
	return malformed("element %s", name)
}

func (r *lifecycleRule) size(v **int64, name string, least int64) error {
	text, err := r.text()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return malformed("%s %s", name, text)
	}
	if *v = &n; n < least || n > api.MaxObjectSize {
		return nonsense("'" + name + "' should be a value between " + strconv.FormatInt(least, 10) + " and 5 TB.")
	}
	return nil
}

// expiration reads one element inside of an Expiration, which has one.
func (r *lifecycleRule) expiration(name string) error {
	if err := r.once.again("Expiration/"); err != nil {
		return err
	}
	switch name {
	case "Days":
		return r.positive(&r.ExpireDays, name, "'Days' for Expiration action must be a positive integer")
	case "Date":
		return r.midnight(&r.ExpireDate)
	case "ExpiredObjectDeleteMarker":
		var err error
		r.ExpireMarkers, err = r.boolean(name)
		return err
	}
	return malformed("element %s", name)
}

// midnight reads a date.
func (r *lifecycleRule) midnight(v *time.Time) error {
	text, err := r.text()
	if err != nil {
		return err
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		if t, err = time.Parse("2006-01-02", text); err != nil {
			return malformed("Date %s", text)
		}
	}
	if *v = t.UTC(); !t.Equal(t.UTC().Truncate(24*time.Hour)) || t.Year() < 1 || t.IsZero() {
		return argument("'Date' must be at midnight GMT")
	}
	return nil
}

func (r *lifecycleRule) noncurrent(name string) error {
	if err := r.once.again("Noncurrent/" + name); err != nil {
		return err
	}
	switch name {
	case "NoncurrentDays":
		return r.positive(&r.NoncurrentDays, name, "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer")
	case "NewerNoncurrentVersions":
		return r.newer(&r.NoncurrentNewer, "NoncurrentVersionExpiration")
	}
	return malformed("element %s", name)
}

// positive reads a number of at least 1.
func (r *lifecycleRule) positive(v *int, name, message string) error {
	text, err := r.text()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return malformed("%s %s", name, text)
	}
	if *v = int(n); n < 1 {
		return argument(message)
	}
	return nil
}

// judge holds a whole rule against what S3 takes.
func (r *lifecycleRule) judge() error {
	sized := r.Above != nil || r.Below != nil
	switch {
	case !r.once["Status"] || r.once["Filter"] == r.once["Prefix"]:
		return malformed("rule without status, or not with one of filter and prefix")
	case r.once["Expiration"] && !r.once["Expiration/"],
		r.once["NoncurrentVersionExpiration"] && !r.once["Noncurrent/NoncurrentDays"],
		r.once["AbortIncompleteMultipartUpload"] && r.AbortDays == 0:
		return malformed("action without a time")
	case !r.once["Expiration"] && !r.once["NoncurrentVersionExpiration"] && !r.once["AbortIncompleteMultipartUpload"] &&
		r.Transition == nil && r.NoncurrentTransition == nil:
		return nonsense("At least one action needs to be specified in a rule.")
	case r.ExpireMarkers && len(r.Tags) > 0:
		return nonsense("ExpiredObjectDeleteMarker cannot be specified with Tags.")
	case r.ExpireMarkers && sized:
		return nonsense("ExpiredObjectDeleteMarker cannot be specified with Object Size.")
	case r.AbortDays > 0 && len(r.Tags) > 0:
		return nonsense("AbortIncompleteMultipartUpload cannot be specified with Tags.")
	case r.AbortDays > 0 && sized:
		return nonsense("AbortIncompleteMultipartUpload cannot be specified with Object Size.")
	case r.Above != nil && r.Below != nil && *r.Below <= *r.Above+1:
		return nonsense("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")
	case r.NoncurrentNewer > 0 && r.Form == api.FilterLegacy:
		return nonsense("NewerNoncurrentVersions requires Filter element.")
	}
	return r.judgeTransitions()
}

// AppendLifecycle appends the document of GetBucketLifecycleConfiguration
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLifecycleConfiguration.html).
func AppendLifecycle(b []byte, rules []api.LifecycleRule) []byte {
	const root = "LifecycleConfiguration"
	b = begin(b, root)
	for i := range rules {
		b = appendLifecycleRule(b, &rules[i])
	}
	return end(b, root)
}

func appendLifecycleRule(b []byte, r *api.LifecycleRule) []byte {
	b = some(open(b, "Rule"), "ID", r.ID)
	b = appendLifecycleFilter(b, r)
	status := "Enabled"
	if r.Disabled {
		status = "Disabled"
	}
	b = appendTransitions(element(b, "Status", status), r)
	switch {
	case r.ExpireDays > 0:
		b = shut(number(open(b, "Expiration"), "Days", int64(r.ExpireDays)), "Expiration")
	case !r.ExpireDate.IsZero():
		b = shut(instant(open(b, "Expiration"), "Date", r.ExpireDate), "Expiration")
	case r.ExpireMarkers:
		b = shut(boolean(open(b, "Expiration"), "ExpiredObjectDeleteMarker", true), "Expiration")
	case r.NoncurrentDays == 0 && r.AbortDays == 0 && r.Transition == nil && r.NoncurrentTransition == nil:
		b = shut(boolean(open(b, "Expiration"), "ExpiredObjectDeleteMarker", false), "Expiration")
	}
	if r.NoncurrentDays > 0 {
		const name = "NoncurrentVersionExpiration"
		b = number(open(b, name), "NoncurrentDays", int64(r.NoncurrentDays))
		if r.NoncurrentNewer > 0 {
			b = number(b, "NewerNoncurrentVersions", int64(r.NoncurrentNewer))
		}
		b = shut(b, name)
	}
	if r.AbortDays > 0 {
		const name = "AbortIncompleteMultipartUpload"
		b = shut(number(open(b, name), "DaysAfterInitiation", int64(r.AbortDays)), name)
	}
	return shut(b, "Rule")
}

func appendLifecycleFilter(b []byte, r *api.LifecycleRule) []byte {
	if r.Form == api.FilterLegacy {
		return element(b, "Prefix", r.Prefix)
	}
	b = open(b, "Filter")
	if r.Form == api.FilterAnd {
		b = open(b, "And")
	}
	if r.Prefix != "" || r.Form == api.FilterOne && len(r.Tags) == 0 && r.Above == nil && r.Below == nil {
		b = element(b, "Prefix", r.Prefix)
	}
	for _, t := range r.Tags {
		b = appendTag(b, Tag(t))
	}
	if r.Above != nil {
		b = number(b, "ObjectSizeGreaterThan", *r.Above)
	}
	if r.Below != nil {
		b = number(b, "ObjectSizeLessThan", *r.Below)
	}
	if r.Form == api.FilterAnd {
		b = shut(b, "And")
	}
	return shut(b, "Filter")
}
