package grant

// Target is what an ACL belongs to.
type Target uint8

// Targets.
const (
	Bucket Target = iota
	Object
)

// EC2 is the canonical ID by which aws-exec-read lets Amazon EC2 read. Nobody here has it.
const EC2 = "6aa5a366c34c1cbe25dc49211496e913e0351eb0e8c37aa3477e40942ec6b97c"

// Private is the ACL of what is given none: the owner has full control. owner is a canonical ID.
func Private(owner string) ACL {
	return ACL{{Grantee{ID: owner}, FullControl}}
}

// Canned gives a canned ACL by its name. owner is the canonical ID of the bucket's owner, who is the owner of
// all objects in it too: so bucket-owner-read and bucket-owner-full-control are the same as private, and on a
// bucket S3 ignores them (https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html#canned-acl).
func Canned(name string, t Target, owner string) (ACL, bool) {
	group := func(g Group, p Permission) Grant { return Grant{Grantee{Group: g}, p} }
	a := Private(owner)
	switch name {
	case "private", "bucket-owner-read", "bucket-owner-full-control":
		return a, true
	case "public-read":
		return append(a, group(AllUsers, Read)), true
	case "public-read-write":
		return append(a, group(AllUsers, Read), group(AllUsers, Write)), true
	case "authenticated-read":
		return append(a, group(AuthenticatedUsers, Read)), true
	case "aws-exec-read":
		return append(a, Grant{Grantee{ID: EC2}, Read}), true
	case "log-delivery-write":
		return append(a, group(LogDelivery, Write), group(LogDelivery, ReadACP)), t == Bucket
	}
	return nil, false
}
