package acl

import (
	"fmt"
	"testing"
)

// says is a policy that gives the same verdict to every request.
type says Effect

func (s says) Evaluate(*Request) Verdict {
	return Verdict{Effect: Effect(s), Policy: "p", Statement: "s"}
}

// toAll is an ACL with a grant to everybody.
type toAll struct{}

func (toAll) Evaluate(*Request) Verdict {
	return Verdict{Effect: Allow, Policy: "a", Statement: "g", Public: true}
}

func policies(effects ...Effect) (out []Policy) {
	for _, e := range effects {
		out = append(out, says(e))
	}
	return out
}

// TestEvaluate: IAM User Guide, "Policy evaluation logic" and "Determining whether a request is
// allowed or denied within an account"; S3 User Guide, "Blocking public access".
func TestEvaluate(t *testing.T) {
	const get = "s3:GetObject"
	for _, tt := range []struct {
		name   string
		kind   Kind
		action string
		rules  Rules
		want   Decision
	}{
		{"a user without any rule", User, get, Rules{}, Decision{Reason: ByNothing}},
		{"a stranger without any rule", Anonymous, get, Rules{}, Decision{Reason: ByNothing}},
		{"root without any rule", Root, get, Rules{}, Decision{Allowed: true, Reason: ByRoot}},
		{"identity allows", User, get, Rules{Identity: policies(None, Allow)}, Decision{Allowed: true, Reason: ByIdentity, Policy: "p", Statement: "s"}},
		{"identity allows and denies", User, get, Rules{Identity: policies(Allow, Deny)}, Decision{Explicit: true, Reason: ByIdentity, Policy: "p", Statement: "s"}},
		{"identity allows, bucket denies", User, get, Rules{Identity: policies(Allow), Bucket: says(Deny)}, Decision{Explicit: true, Reason: ByBucketPolicy, Policy: "p", Statement: "s"}},
		{"bucket allows alone", User, get, Rules{Bucket: says(Allow)}, Decision{Allowed: true, Reason: ByBucketPolicy, Policy: "p", Statement: "s"}},
		{"bucket allows, identity denies", User, get, Rules{Identity: policies(Deny), Bucket: says(Allow)}, Decision{Explicit: true, Reason: ByIdentity, Policy: "p", Statement: "s"}},
		{"bucket allows a stranger", Anonymous, get, Rules{Bucket: says(Allow)}, Decision{Allowed: true, Reason: ByBucketPolicy, Policy: "p", Statement: "s"}},
		{"bucket allows a stranger, but public access is blocked", Anonymous, get, Rules{Bucket: says(Allow), RestrictPublic: true}, Decision{Reason: ByPublicBlock}},
		{"a public bucket policy still serves the account when public access is blocked", User, get, Rules{Bucket: says(Allow), RestrictPublic: true}, Decision{Allowed: true, Reason: ByBucketPolicy, Policy: "p", Statement: "s"}},
		{"ACL allows a stranger", Anonymous, get, Rules{ACL: says(Allow)}, Decision{Allowed: true, Reason: ByACL, Policy: "p", Statement: "s"}},
		{"ACL allows, bucket denies", Anonymous, get, Rules{ACL: says(Allow), Bucket: says(Deny)}, Decision{Explicit: true, Reason: ByBucketPolicy, Policy: "p", Statement: "s"}},
		{"ACL allows when the public policy is blocked", Anonymous, get, Rules{ACL: says(Allow), Bucket: says(Allow), RestrictPublic: true}, Decision{Allowed: true, Reason: ByACL, Policy: "p", Statement: "s"}},
		{"a grant to everybody, and public ACLs are ignored", Anonymous, get, Rules{ACL: toAll{}, IgnorePublicACLs: true}, Decision{Reason: ByPublicBlock}},
		{"a grant to everybody, asked for by a user, and public ACLs are ignored", User, get, Rules{ACL: toAll{}, IgnorePublicACLs: true}, Decision{Reason: ByPublicBlock}},
		{"a grant to everybody", Anonymous, get, Rules{ACL: toAll{}}, Decision{Allowed: true, Reason: ByACL, Policy: "a", Statement: "g"}},
		{"a grant of its own, and public ACLs are ignored", User, get, Rules{ACL: says(Allow), IgnorePublicACLs: true}, Decision{Allowed: true, Reason: ByACL, Policy: "p", Statement: "s"}},
		{"a grant does not widen a session", User, get, Rules{ACL: says(Allow), Sessions: policies(None)}, Decision{Reason: BySession, Policy: "p"}},
		{"identity denies what an ACL grants", User, get, Rules{ACL: says(Allow), Identity: policies(Deny)}, Decision{Explicit: true, Reason: ByIdentity, Policy: "p", Statement: "s"}},
		{"identity policies are nothing to strangers", Anonymous, get, Rules{Identity: policies(Allow)}, Decision{Reason: ByNothing}},
		{"root is denied by a bucket policy", Root, get, Rules{Bucket: says(Deny)}, Decision{Explicit: true, Reason: ByBucketPolicy, Policy: "p", Statement: "s"}},
		{"root reads a policy that denies", Root, "s3:GetBucketPolicy", Rules{Bucket: says(Deny)}, Decision{Allowed: true, Reason: ByRoot}},
		{"root replaces a policy that denies", Root, "s3:PutBucketPolicy", Rules{Bucket: says(Deny)}, Decision{Allowed: true, Reason: ByRoot}},
		{"root deletes a policy that denies", Root, "s3:DeleteBucketPolicy", Rules{Bucket: says(Deny)}, Decision{Allowed: true, Reason: ByRoot}},
		{"a user does not delete a policy that denies", User, "s3:DeleteBucketPolicy", Rules{Bucket: says(Deny), Identity: policies(Allow)}, Decision{Explicit: true, Reason: ByBucketPolicy, Policy: "p", Statement: "s"}},
		{"a session of root without a word of it", Root, get, Rules{Sessions: policies(None)}, Decision{Reason: BySession, Policy: "p"}},
		{"a session of root that allows", Root, get, Rules{Sessions: policies(Allow)}, Decision{Allowed: true, Reason: ByRoot}},
		{"a session of root that denies", Root, get, Rules{Sessions: policies(Deny)}, Decision{Explicit: true, Reason: BySession, Policy: "p", Statement: "s"}},
		{"a session of root that denies cannot mend policies", Root, "s3:PutBucketPolicy", Rules{Sessions: policies(Deny), Bucket: says(Deny)}, Decision{Explicit: true, Reason: BySession, Policy: "p", Statement: "s"}},
		{"a session gives nothing of its own", User, get, Rules{Sessions: policies(Allow)}, Decision{Reason: ByNothing}},
		{"a session narrows what the bucket allows", User, get, Rules{Sessions: policies(None), Bucket: says(Allow)}, Decision{Reason: BySession, Policy: "p"}},
		{"each of two sessions must allow", User, get, Rules{Sessions: policies(Allow, None), Identity: policies(Allow)}, Decision{Reason: BySession, Policy: "p"}},
		{"a session does not allow and another denies", User, get, Rules{Sessions: policies(None, Deny), Identity: policies(Allow)}, Decision{Explicit: true, Reason: BySession, Policy: "p", Statement: "s"}},
		{"two sessions allow", User, get, Rules{Sessions: policies(Allow, Allow), Identity: policies(Allow)}, Decision{Allowed: true, Reason: ByIdentity, Policy: "p", Statement: "s"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := &Request{Principal: Principal{Kind: tt.kind}, Action: tt.action}
			if got := Evaluate(r, &tt.rules); got != tt.want {
				t.Errorf("got %+v (%v), want %+v", got, &got, tt.want)
			}
		})
	}
}

// TestEvaluateAll goes through all combinations of what may be said.
func TestEvaluateAll(t *testing.T) {
	effects := []Effect{None, Allow, Deny}
	rows := 0
	for _, kind := range []Kind{Anonymous, User, Root} {
		for _, identity := range effects {
			for _, bucket := range effects {
				for _, restrict := range []bool{false, true} {
					for _, acl := range []Effect{None, Allow} {
						rules := Rules{Identity: policies(identity), Bucket: says(bucket), RestrictPublic: restrict, ACL: says(acl)}
						checkSessions(t, kind, &rules)
						rows++
					}
				}
			}
		}
	}
	if rows != 3*3*3*2*2 {
		t.Fatalf("%d rows", rows)
	}
}

// checkSessions asks under the same rules without and with sessions.
func checkSessions(t *testing.T, kind Kind, rules *Rules) {
	t.Helper()
	r := &Request{Principal: Principal{Kind: kind}, Action: "s3:GetObject"}
	plain := Evaluate(r, rules)
	where := fmt.Sprintf("kind %v, rules %+v", kind, *rules)
	denied := rules.Bucket == says(Deny) || rules.Identity[0] == says(Deny)
	if denied && (plain.Allowed || !plain.Explicit) {
		t.Errorf("%s: a deny lost: %v", where, &plain)
	}
	silent := rules.Identity[0] == says(None) && rules.Bucket == says(None) && rules.ACL == says(None)
	if silent && plain.Allowed && kind != Root {
		t.Errorf("%s: allowed by nothing: %v", where, &plain)
	}
	for _, session := range []Effect{None, Allow, Deny} {
		narrowed := *rules
		narrowed.Sessions = policies(session)
		got := Evaluate(r, &narrowed)
		if got.Allowed && !plain.Allowed {
			t.Errorf("%s: session %v widens: %v", where, session, &got)
		}
		if got.Allowed && session != Allow {
			t.Errorf("%s: session %v allows: %v", where, session, &got)
		}
		if session == Allow && got != plain {
			t.Errorf("%s: a session that allows all changes the decision: %v, was %v", where, &got, &plain)
		}
	}
	blocked := *rules
	blocked.RestrictPublic = true
	if got := Evaluate(r, &blocked); got.Allowed && !plain.Allowed {
		t.Errorf("%s: a block widens: %v", where, &got)
	}
	without := *rules
	without.Bucket = nil
	if got := Evaluate(r, &without); rules.Bucket == says(Deny) && plain.Allowed && !got.Allowed {
		t.Errorf("%s: a deny widens: %v", where, &plain)
	}
}
