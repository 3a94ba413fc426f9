package iam

import (
	"context"
	"strings"
	"time"

	"shoal/acl"
	"shoal/acl/policy"
	"shoal/gateway/s3err"
	"shoal/node/api"
)

// Question is a request that nobody sends.
type Question struct {
	Principal string              `json:"principal"` // "root", "user:NAME" or "anonymous"
	Action    string              `json:"action"`    // s3:GetObject
	Resource  string              `json:"resource"`  // arn:aws:s3:::bucket/key; "*" where the action has none
	Keys      map[string][]string `json:"keys,omitempty"`
}

// Outcome is what would be decided.
type Outcome struct {
	Allowed   bool   `json:"allowed"`
	Explicit  bool   `json:"explicit,omitempty"` // a statement denies it
	Reason    string `json:"reason"`
	Policy    string `json:"policy,omitempty"`
	Statement string `json:"statement,omitempty"`
	Words     string `json:"words"`
}

const anonymous = "anonymous"

// Simulate decides a request under the rules as they are now; of the ACLs of objects, under that of the version that
// the condition key s3:versionid names, else of the current one. InvalidArgument, NoSuchIdentity.
func (s *Store) Simulate(ctx context.Context, buckets *Buckets, objects api.Objects, q *Question) (Outcome, error) {
	if _, ok := policy.TargetOf(q.Action); !ok {
		return Outcome{}, api.Invalid("iam.Simulate", "There is no action of this name.")
	}
	var caller Caller
	if q.Principal != anonymous {
		var err error
		caller, err = s.principal(ctx, q.Principal)
		if err != nil && s3err.From(err).Code == s3err.AccessDenied {
			err = &api.Error{Kind: api.NoSuchIdentity, Op: "iam.Simulate", Detail: "There is no such user, or it is disabled."}
		}
		if err != nil {
			return Outcome{}, err
		}
	}
	r := acl.Request{Action: q.Action, Resource: q.Resource}
	r.SetTime(time.Now())
	r.SetPrincipal(&caller.Principal)
	for name, values := range q.Keys {
		r.Set(name, values...)
	}
	rules := caller.Rules()
	path, ok := strings.CutPrefix(q.Resource, acl.BucketARN(""))
	if !ok || q.Action == "s3:CreateBucket" {
		return outcome(acl.Evaluate(&r, &rules)), nil
	}
	ref := &api.ObjectRef{}
	ref.Bucket, ref.Key, _ = strings.Cut(path, "/")
	if v := r.Keys["s3:versionid"]; len(v) == 1 {
		ref.VersionID = v[0]
	}
	b, err := buckets.Rules(ctx, ref.Bucket)
	if err != nil {
		return Outcome{}, err
	}
	for name, values := range b.Keys {
		if _, given := r.Keys[name]; !given {
			r.Set(name, values...)
		}
	}
	b.Apply(&rules, q.Action)
	var object func() ([]byte, bool, error)
	if ref.Key != "" {
		object = func() ([]byte, bool, error) {
			info, err := objects.Head(ctx, ref)
			switch {
			case err == nil:
				return info.ACL, true, nil
			case IsNoVersion(err):
				return nil, false, nil
			}
			return nil, false, err
		}
	}
	d, err := b.Decide(&r, &rules, object)
	if err != nil {
		return Outcome{}, err
	}
	return outcome(d), nil
}

// IsNoVersion says whether the store has no version of an object that could say anything of who may do what.
func IsNoVersion(err error) bool {
	switch api.KindOf(err) {
	case api.NoSuchBucket, api.NoSuchKey, api.NoSuchVersion, api.DeleteMarker, api.InvalidArgument:
		return true
	}
	return false
}

func outcome(d acl.Decision) Outcome {
	return Outcome{Allowed: d.Allowed, Explicit: d.Explicit, Reason: string(d.Reason), Policy: d.Policy, Statement: d.Statement, Words: d.String()}
}
