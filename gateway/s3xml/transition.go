package s3xml

import (
	"strconv"

	"shoal/node/api"
)

// transition reads a Transition or NoncurrentVersionTransition. S3 knows one for each storage class, and
// here is one class that rules lead to
// (https://docs.aws.amazon.com/AmazonS3/latest/API/API_Transition.html).
func (r *lifecycleRule) transition(action string, to **api.LifecycleTransition) error {
	t := new(api.LifecycleTransition)
	once := seen{}
	err := r.children(func(name string) error {
		if err := once.again(name); err != nil {
			return err
		}
		switch {
		case name == "StorageClass":
			return r.class(&t.Class)
		case name == "Days" && action == "Transition", name == "NoncurrentDays" && action != "Transition":
			return r.days(&t.Days, name, action)
		case name == "Date" && action == "Transition":
			return r.midnight(&t.Date)
		case name == "NewerNoncurrentVersions" && action != "Transition":
			return r.newer(&t.Newer, action)
		}
		return malformed("element %s", name)
	})
	switch {
	case err != nil:
		return err
	case !once["StorageClass"] || once["Days"] && once["Date"] || !once["Days"] && !once["Date"] && !once["NoncurrentDays"]:
		return malformed("%s without a storage class, or not with one time", action)
	case *to != nil:
		return nonsense("'StorageClass' must be different for '" + action + "' actions in same 'Rule' with filter '" + r.described() + "'")
	}
	*to = t
	return nil
}

// class reads the storage class that a rule leads to.
func (r *lifecycleRule) class(v *api.StorageClass) error {
	name, err := r.text()
	if err != nil {
		return err
	}
	if name == "" {
		return malformed("no StorageClass")
	}
	class, ok := api.ParseStorageClass(name)
	if !ok || class == api.StandardClass {
		return &RuleError{Class: name, Message: "The storage class you specified is not valid. Lifecycle rules lead to REDUCED_REDUNDANCY."}
	}
	*v = class
	return nil
}

// days reads a number of days, which may be none.
func (r *lifecycleRule) days(v *int, name, action string) error {
	text, err := r.text()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return malformed("%s %s", name, text)
	}
	if *v = int(n); n < 0 {
		return argument("'" + name + "' in " + action + " action must be nonnegative")
	}
	return nil
}

// newer reads how many noncurrent versions an action leaves alone.
func (r *lifecycleRule) newer(v *int, action string) error {
	const name = "NewerNoncurrentVersions"
	if err := r.positive(v, name, "'"+name+"' for "+action+" action must be a positive integer"); err != nil {
		return err
	}
	if *v > newerNoncurrentMax {
		return argument("'" + name + "' for " + action + " action must be at most 100")
	}
	return nil
}

// described is the filter as S3 names it in messages, as far as it is a prefix.
func (r *lifecycleRule) described() string { return "(prefix=" + r.Prefix + ")" }

// judgeTransitions holds transitions against expirations: what expires first has no use for another class.
func (r *lifecycleRule) judgeTransitions() error {
	if t := r.Transition; t != nil {
		expires := r.ExpireDays > 0 || !r.ExpireDate.IsZero()
		switch {
		case expires && t.Date.IsZero() != r.ExpireDate.IsZero():
			return nonsense("Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for filter '" + r.described() + "'")
		case r.ExpireDays > 0 && r.ExpireDays <= t.Days:
			return argument("'Days' in the Expiration action for filter '" + r.described() + "' must be greater than 'Days' in the Transition action")
		case !r.ExpireDate.IsZero() && !r.ExpireDate.After(t.Date):
			return argument("'Date' in the Expiration action for filter '" + r.described() + "' must be later than 'Date' in the Transition action")
		}
	}
	t := r.NoncurrentTransition
	switch {
	case t == nil:
	case t.Newer > 0 && r.Form == api.FilterLegacy:
		return nonsense("NewerNoncurrentVersions requires Filter element.")
	case r.NoncurrentDays > 0 && r.NoncurrentDays <= t.Days:
		return argument("'NoncurrentDays' in the NoncurrentVersionExpiration action for filter '" + r.described() +
			"' must be greater than 'NoncurrentDays' in the NoncurrentVersionTransition action")
	}
	return nil
}

// appendTransitions appends both kinds.
func appendTransitions(b []byte, r *api.LifecycleRule) []byte {
	if t := r.Transition; t != nil {
		b = open(b, "Transition")
		if t.Date.IsZero() {
			b = number(b, "Days", int64(t.Days))
		} else {
			b = instant(b, "Date", t.Date)
		}
		b = shut(element(b, "StorageClass", t.Class.String()), "Transition")
	}
	if t := r.NoncurrentTransition; t != nil {
		b = number(open(b, "NoncurrentVersionTransition"), "NoncurrentDays", int64(t.Days))
		if t.Newer > 0 {
			b = number(b, "NewerNoncurrentVersions", int64(t.Newer))
		}
		b = shut(element(b, "StorageClass", t.Class.String()), "NoncurrentVersionTransition")
	}
	return b
}
