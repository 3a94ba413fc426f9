package acl

// Effect is what a policy says to a request.
type Effect uint8

// Effects.
const (
	// None: the policy does not speak of the request.
	None Effect = iota
	// Allow permits what nothing denies.
	Allow
	// Deny wins over every Allow.
	Deny
)

// Verdict is what one policy says to a request, and which of its statements says so.
type Verdict struct {
	Effect Effect
	// Policy is the name of the policy, Statement the Sid of the statement, or its number from 1. Of an ACL
	// they are what it belongs to, and the grant.
	Policy, Statement string
	// Public says that the grant of an ACL is one to everybody, with or without a signature.
	Public bool
}

// Policy is what can be asked about a request: a document, or an ACL. It is safe for use by many
// goroutines.
type Policy interface {
	Evaluate(*Request) Verdict
}

// Reason says what a decision rests on. It comes from a closed list, so it may label metrics.
type Reason string

// Reasons.
const (
	ByRoot         Reason = "root"
	ByIdentity     Reason = "identity_policy"
	ByBucketPolicy Reason = "bucket_policy"
	ByACL          Reason = "acl"
	BySession      Reason = "session_policy"
	ByPublicBlock  Reason = "public_access_block"
	ByNothing      Reason = "nothing_allows"
	deniedInWords         = "denied by "
	allowedInWords        = "allowed by "
)

// Reasons lists them all.
func Reasons() []Reason {
	return []Reason{ByRoot, ByIdentity, ByBucketPolicy, ByACL, BySession, ByPublicBlock, ByNothing}
}

// Decision is the answer to a request, with its reason.
type Decision struct {
	Allowed bool
	// Explicit says that a statement denies the request, as opposed to nothing allowing it.
	Explicit bool
	Reason   Reason
	// Policy and Statement name what decided, where it was a statement.
	Policy, Statement string
}

// String says the decision in words for an operator: the record and the simulation show it.
func (d *Decision) String() string {
	words := deniedInWords
	if d.Allowed {
		words = allowedInWords
	} else if d.Explicit {
		words = "explicitly " + deniedInWords
	}
	words += string(d.Reason)
	if d.Policy != "" {
		words += " " + d.Policy
	}
	if d.Statement != "" {
		words += ", statement " + d.Statement
	}
	return words
}
