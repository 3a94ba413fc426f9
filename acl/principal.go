package acl

import (
	"crypto/sha256"
	"encoding/hex"
)

// Kind says what a principal is.
type Kind uint8

// Kinds of principals. The zero value is the one with the fewest rights.
const (
	// Anonymous is who sent no signature.
	Anonymous Kind = iota
	// User is an identity with policies of its own and of its groups.
	User
	// Root is the owner of the account: everything is allowed that no bucket policy or session policy denies.
	Root
)

// String is the value of the condition key aws:PrincipalType.
func (k Kind) String() string {
	return [...]string{"Anonymous", "User", "Account"}[k]
}

// Principal is who asks. A service account or a session is the principal that it acts for; what
// narrows it are the session policies of Rules.
type Principal struct {
	Kind Kind
	// ID is the store's name for the principal, and the value of aws:userid: "root", "user:alice"; "" when
	// anonymous.
	ID string
	// Name is the value of aws:username; "" for root and anonymous.
	Name string
	// Account is the account's number, 12 digits.
	Account string
}

// ARN is the principal's name in policies (IAM User Guide, "IAM identifiers"); "" when anonymous.
func (p *Principal) ARN() string {
	switch p.Kind {
	case Root:
		return "arn:aws:iam::" + p.Account + ":root"
	case User:
		return "arn:aws:iam::" + p.Account + ":user/" + p.Name
	}
	return ""
}

// CanonicalID is what ACLs call a principal, and answers the owner: 64 hexadecimal digits, as S3 has them (AWS
// General Reference, "AWS account identifiers"). It follows from the ID alone, so that it is the same on every
// gateway and after a restart; "" for the ID "". A user that is created again under a name it had gets the ID it had.
func CanonicalID(id string) string {
	if id == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("shoal canonical user\x00" + id))
	return hex.EncodeToString(sum[:])
}
