package acl

// Rules is all that is said about a request, by whom it may concern.
type Rules struct {
	// Identity are the policies of the user and of its groups. Root has none.
	Identity []Policy
	// Sessions narrow the principal: of a session, of a service account, of a service account's
	// session. What is asked must be allowed by each.
	Sessions []Policy
	// Bucket is the bucket's policy, nil for none. It knows the principals that it speaks of.
	Bucket Policy
	// RestrictPublic says that the bucket's policy is public and that its PublicAccessBlock has
	// RestrictPublicBuckets: then it allows nothing to strangers.
	RestrictPublic bool
	// ACL is that of the bucket or object asked for, nil when ACLs are disabled.
	ACL Policy
	// IgnorePublicACLs is of the bucket's PublicAccessBlock: grants to everybody give nothing.
	IgnorePublicACLs bool
}

// Evaluate decides. It fails closed: a principal without any rule gets nothing.
func Evaluate(r *Request, rules *Rules) Decision {
	bucket := ask(rules.Bucket, r)
	if bucket.Effect == Deny && !ownsPolicy(r) {
		return denied(ByBucketPolicy, bucket)
	}
	identity := askAll(rules.Identity, r)
	if identity.Effect == Deny {
		return denied(ByIdentity, identity)
	}
	if d, narrowed := narrow(r, rules.Sessions); narrowed {
		return d
	}
	if r.Principal.Kind == Root {
		return Decision{Allowed: true, Reason: ByRoot}
	}
	if r.Principal.Kind == User && identity.Effect == Allow {
		return allowed(ByIdentity, identity)
	}
	blocked := rules.RestrictPublic && r.Principal.Kind == Anonymous
	if bucket.Effect == Allow && !blocked {
		return allowed(ByBucketPolicy, bucket)
	}
	grant := ask(rules.ACL, r)
	if grant.Effect == Allow && !(grant.Public && rules.IgnorePublicACLs) {
		return allowed(ByACL, grant)
	}
	if bucket.Effect == Allow || grant.Effect == Allow {
		return Decision{Reason: ByPublicBlock}
	}
	return Decision{Reason: ByNothing}
}

// narrow looks for a session policy that denies the request, or else for one that does not allow it.
func narrow(r *Request, sessions []Policy) (d Decision, narrowed bool) {
	for _, p := range sessions {
		switch v := p.Evaluate(r); {
		case v.Effect == Deny:
			return denied(BySession, v), true
		case v.Effect == None && !narrowed:
			d, narrowed = Decision{Reason: BySession, Policy: v.Policy}, true
		}
	}
	return d, narrowed
}

// ownsPolicy: root can always mend a bucket policy that locks everybody out (S3 User Guide,
// "Bucket policies": the root user of the owner may read, replace and delete it whatever it says).
func ownsPolicy(r *Request) bool {
	if r.Principal.Kind != Root {
		return false
	}
	switch r.Action {
	case "s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy":
		return true
	}
	return false
}

func ask(p Policy, r *Request) Verdict {
	if p == nil {
		return Verdict{}
	}
	return p.Evaluate(r)
}

// mayDeny is what a policy has that can tell soon that it denies no request for an action.
type mayDeny interface {
	MayDeny(action string) bool
}

// askAll gives the first deny, else the first allow.
func askAll(policies []Policy, r *Request) Verdict {
	var found Verdict
	for _, p := range policies {
		if d, ok := p.(mayDeny); ok && found.Effect == Allow && !d.MayDeny(r.Action) {
			continue
		}
		v := p.Evaluate(r)
		if v.Effect == Deny {
			return v
		}
		if found.Effect == None && v.Effect == Allow {
			found = v
		}
	}
	return found
}

func denied(reason Reason, v Verdict) Decision {
	return Decision{Explicit: true, Reason: reason, Policy: v.Policy, Statement: v.Statement}
}

func allowed(reason Reason, v Verdict) Decision {
	return Decision{Allowed: true, Reason: reason, Policy: v.Policy, Statement: v.Statement}
}
