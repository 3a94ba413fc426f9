package iam

import (
	"context"
	"time"

	"shoal/acl"
	"shoal/acl/grant"
	"shoal/gateway/s3err"
	"shoal/gateway/s3xml"
	"shoal/node/api"
)

// Object ownership of a bucket
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html). The store's one account owns
// all objects whoever writes them, so the two under which ACLs count do the same.
const (
	// OwnershipEnforced: ACLs are off. A new bucket has it.
	OwnershipEnforced = "BucketOwnerEnforced"
	// OwnershipPreferred and OwnershipWriter: ACLs count.
	OwnershipPreferred = "BucketOwnerPreferred"
	OwnershipWriter    = "ObjectWriter"
)

// ReadOwnership reads a bucket's ownership controls. ACLs are off under what cannot be read; a bucket whose controls
// were removed is one of writers, as in S3.
func ReadOwnership(doc []byte) string {
	switch {
	case len(doc) == 0:
		return OwnershipEnforced
	case string(doc) == RemovedDocument:
		return OwnershipWriter
	}
	switch own, err := s3xml.ParseOwnership(doc); {
	case err == nil && (own == OwnershipPreferred || own == OwnershipWriter):
		return own
	}
	return OwnershipEnforced
}

// ReadACL reads a stored ACL, of which none is the owner's full control. Corrupt for what is none.
func ReadACL(stored []byte, owner string) (grant.ACL, error) {
	if len(stored) == 0 {
		return grant.Private(owner), nil
	}
	a, err := grant.Parse(stored)
	if err != nil {
		return nil, &api.Error{Kind: api.Corrupt, Op: "iam.ReadACL", Err: err}
	}
	return a, nil
}

// Apply puts what the bucket says of an action into rules.
func (b *BucketRules) Apply(rules *acl.Rules, action string) {
	rules.Bucket, rules.RestrictPublic = b.Policy, b.Public && b.Block.Restrict
	rules.IgnorePublicACLs = b.Block.IgnoreACLs
	if t, ok := grant.TargetOf(action); ok && t == grant.Bucket {
		rules.ACL = b.acl
	}
}

// Decide decides a request under rules to which Apply was applied. object, nil where none is asked for, gives the
// stored ACL of the version asked for, ok false when there is no version; it is asked only when that may still allow what
// nothing else has allowed. The rules that it decided by are left in rules. Errors are those of object.
func (b *BucketRules) Decide(r *acl.Request, rules *acl.Rules, object func() (stored []byte, ok bool, err error)) (acl.Decision, error) {
	d := acl.Evaluate(r, rules)
	if object == nil || !b.asksObject(r.Action, &d) {
		return d, nil
	}
	stored, ok, err := object()
	if err != nil || !ok {
		return d, err
	}
	rules.ACL = ObjectACL(stored)
	return acl.Evaluate(r, rules), nil
}

// asksObject says whether the ACL of the object asked for may still allow what was denied without it.
func (b *BucketRules) asksObject(action string, d *acl.Decision) bool {
	t, ok := grant.TargetOf(action)
	return b.ACLs && ok && t == grant.Object && !d.Allowed && !d.Explicit && d.Reason != acl.BySession
}

// ObjectACL turns the stored ACL of a version into what it allows. One that cannot be read allows nothing.
func ObjectACL(stored []byte) acl.Policy {
	if len(stored) == 0 {
		return nil // private: the owner needs no grant
	}
	a, err := grant.Parse(stored)
	if err != nil {
		return nil
	}
	return a.On(grant.Object, "of the object")
}

// Knows says whether a canonical ID is somebody's.
func (s *Store) Knows(ctx context.Context, canonical string) (bool, error) {
	if canonical == acl.CanonicalID(api.RootPrincipal) || canonical == grant.EC2 {
		return true, nil
	}
	now := time.Now()
	t, err := s.fresh(ctx)
	if err != nil {
		return false, err
	}
	_, known := t.canonical[canonical]
	if !known { // it may be new
		if t, err = s.await(ctx, now); err == nil {
			_, known = t.canonical[canonical]
		}
	}
	return known, err
}

// fresh gives a copy that may be used.
func (s *Store) fresh(ctx context.Context) (*tables, error) {
	return s.await(ctx, time.Now().Add(-s.cfg.Limit))
}

// EncodeACL gives an ACL as it is stored: nothing for the owner's full control.
func EncodeACL(a grant.ACL) []byte {
	if len(a) == 1 && a[0] == grant.Private(acl.CanonicalID(api.RootPrincipal))[0] {
		return nil
	}
	return a.Append(nil)
}

// BlockPublic refuses a public ACL where those are blocked
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html).
func BlockPublic(a grant.ACL, block bool) error {
	if block && a.Public() {
		return s3err.Newf(s3err.AccessDenied, "Public access control lists (ACLs) are blocked by the BlockPublicAcls block public access setting.")
	}
	return nil
}
