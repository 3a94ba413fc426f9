package acl

import (
	"strconv"
	"strings"
	"time"
)

// Request is one question: may this principal do this to that? An operation that acts on several
// things asks once for each.
type Request struct {
	Principal Principal
	// Action is the name in the form of policies, in AWS's spelling: "s3:GetObject".
	Action string
	// Resource is an ARN: "arn:aws:s3:::bucket" or "arn:aws:s3:::bucket/key"; "*" where an action has none.
	Resource string
	// Keys are the values of the condition keys that the request has. Names are in lower case
	// throughout: "s3:prefix", "s3:existingobjecttag/class". An absent key is not the same as an empty value.
	Keys map[string][]string
}

// BucketARN names a bucket in policies.
func BucketARN(bucket string) string { return "arn:aws:s3:::" + bucket }

// ObjectARN names an object in policies.
func ObjectARN(bucket, key string) string { return "arn:aws:s3:::" + bucket + "/" + key }

// Set gives a condition key its values.
func (r *Request) Set(name string, values ...string) {
	if r.Keys == nil {
		r.Keys = make(map[string][]string)
	}
	r.Keys[strings.ToLower(name)] = values
}

// SetTime gives aws:CurrentTime and aws:EpochTime the time at which the request is judged.
func (r *Request) SetTime(now time.Time) {
	r.Set("aws:currenttime", now.UTC().Format("2006-01-02T15:04:05Z"))
	r.Set("aws:epochtime", strconv.FormatInt(now.Unix(), 10))
}

// SetPrincipal makes p the one who asks, and gives the condition keys that speak of a principal
// their values.
func (r *Request) SetPrincipal(p *Principal) {
	r.Principal = *p
	r.Set("aws:principaltype", p.Kind.String())
	if p.Kind == Anonymous {
		r.Set("aws:userid", "anonymous")
		return
	}
	r.Set("aws:userid", p.ID)
	r.Set("aws:principalarn", p.ARN())
	r.Set("aws:principalaccount", p.Account)
	if p.Name != "" {
		r.Set("aws:username", p.Name)
	}
}
