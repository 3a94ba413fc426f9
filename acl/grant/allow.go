package grant

import "shoal/acl"

// bucketActions are the permissions on a bucket that allow an action, objectActions those on a version of an
// object (S3 User Guide, "Access control list (ACL) overview", "Mapping of ACL permissions and access policy
// permissions"). FULL_CONTROL allows all of them; WRITE on an object allows nothing.
var (
	bucketActions = map[string]Permission{
		"s3:ListBucket": Read, "s3:ListBucketVersions": Read, "s3:ListBucketMultipartUploads": Read,
		"s3:PutObject":    Write,
		"s3:GetBucketAcl": ReadACP,
		"s3:PutBucketAcl": WriteACP,
	}
	objectActions = map[string]Permission{
		"s3:GetObject": Read, "s3:GetObjectVersion": Read,
		"s3:GetObjectAcl": ReadACP, "s3:GetObjectVersionAcl": ReadACP,
		"s3:PutObjectAcl": WriteACP, "s3:PutObjectVersionAcl": WriteACP,
	}
)

// TargetOf says whether the ACL of a bucket, or that of an object, has a say in an action. Of all other actions
// no ACL says anything.
func TargetOf(action string) (Target, bool) {
	if _, ok := objectActions[action]; ok {
		return Object, true
	}
	_, ok := bucketActions[action]
	return Bucket, ok
}

// held is an ACL with what it belongs to.
type held struct {
	acl     ACL
	actions map[string]Permission
	name    string
}

// On gives what the ACL allows on what it belongs to, which name says in the reason of a decision. The caller
// asks of the resource that the ACL belongs to, and of no other.
func (a ACL) On(t Target, name string) acl.Policy {
	if t == Object {
		return held{a, objectActions, name}
	}
	return held{a, bucketActions, name}
}

// Evaluate implements acl.Policy. Of several grants that allow the request it names one that is not public, so
// that a block of public ACLs takes nothing from who has a grant of its own.
func (h held) Evaluate(r *acl.Request) acl.Verdict {
	need, ok := h.actions[r.Action]
	if !ok {
		return acl.Verdict{}
	}
	var found acl.Verdict
	canonical := acl.CanonicalID(r.Principal.ID)
	for _, g := range h.acl {
		if g.Permission != need && g.Permission != FullControl || !g.has(&r.Principal, canonical) {
			continue
		}
		v := acl.Verdict{Effect: acl.Allow, Policy: h.name, Statement: g.String(), Public: g.public()}
		if !v.Public {
			return v
		}
		if found.Effect == acl.None {
			found = v
		}
	}
	return found
}
