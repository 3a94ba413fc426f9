package acl

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
	// ID is the canonical ID, which ACLs and aws:userid name: "root", "user:alice"; "" when anonymous.
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
