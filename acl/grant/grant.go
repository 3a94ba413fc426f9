package grant

import (
	"shoal/acl"
)

// Max is how many grants an ACL may have.
const Max = 100

// Permission is what is granted.
type Permission uint8

// Permissions. Their numbers are stored.
const (
	Read Permission = iota + 1
	Write
	ReadACP
	WriteACP
	FullControl
)

var permissionNames = [...]string{Read: "READ", Write: "WRITE", ReadACP: "READ_ACP", WriteACP: "WRITE_ACP", FullControl: "FULL_CONTROL"}

// String is the name that S3 has for a permission.
func (p Permission) String() string { return permissionNames[p] }

// ParsePermission finds a permission by its name.
func ParsePermission(name string) (Permission, bool) {
	for p := Read; p <= FullControl; p++ {
		if permissionNames[p] == name {
			return p, true
		}
	}
	return 0, false
}

// Group is one of the groups that S3 has.
type Group uint8

// Groups. Their numbers are stored.
const (
	// NoGroup says that a grant is to a canonical user.
	NoGroup Group = iota
	// AllUsers is everybody, with or without a signature.
	AllUsers
	// AuthenticatedUsers is who signs.
	AuthenticatedUsers
	// LogDelivery writes access logs. Nobody here belongs to it.
	LogDelivery
)

var groups = [...]struct{ name, uri string }{
	AllUsers:           {"AllUsers", "http://acs.amazonaws.com/groups/global/AllUsers"},
	AuthenticatedUsers: {"AuthenticatedUsers", "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"},
	LogDelivery:        {"LogDelivery", "http://acs.amazonaws.com/groups/s3/LogDelivery"},
}

// URI is the name of a group in documents and headers; "" for NoGroup.
func (g Group) URI() string { return groups[g].uri }

// ParseGroup finds a group by its URI.
func ParseGroup(uri string) (Group, bool) {
	for g := AllUsers; g <= LogDelivery; g++ {
		if groups[g].uri == uri {
			return g, true
		}
	}
	return NoGroup, false
}

// Grantee is a group, or a canonical user.
type Grantee struct {
	Group Group
	// ID is the canonical ID, 64 hexadecimal digits in lower case, where Group is NoGroup.
	ID string
}

// String names the grantee for an operator.
func (g Grantee) String() string {
	if g.Group == NoGroup {
		return "canonical user " + g.ID
	}
	return groups[g.Group].name
}

// has says whether a principal is the grantee, or belongs to it.
func (g Grantee) has(p *acl.Principal, canonical string) bool {
	switch g.Group {
	case NoGroup:
		return canonical != "" && g.ID == canonical
	case AllUsers:
		return true
	case AuthenticatedUsers:
		return p.Kind != acl.Anonymous
	}
	return false
}

// Grant gives a grantee a permission.
type Grant struct {
	Grantee
	Permission Permission
}

// String says what is granted for an operator.
func (g Grant) String() string { return g.Permission.String() + " to " + g.Grantee.String() }

// public says whether the grant is to everybody (S3 User Guide, "Blocking public access to your Amazon S3
// storage", "The meaning of public").
func (g Grant) public() bool { return g.Group == AllUsers || g.Group == AuthenticatedUsers }

// ACL is a list of grants. It may name a grantee more than once.
type ACL []Grant

// Public says that the ACL grants something to everybody.
func (a ACL) Public() bool {
	for _, g := range a {
		if g.public() {
			return true
		}
	}
	return false
}

// OwnerOnly says that the ACL grants nobody but the owner anything. An ACL without any grant is such.
func (a ACL) OwnerOnly(owner string) bool {
	for _, g := range a {
		if g.Group != NoGroup || g.ID != owner {
			return false
		}
	}
	return true
}
