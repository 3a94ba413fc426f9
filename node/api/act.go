package api

// Act is what a node did by itself, or for a peer that joins, to members, metadata groups, placement or root: what the log of acts
// of that node has besides the acts of its clients and operators.
type Act struct {
	// Kind is one of the kinds of docs/formats/audit-log.md.
	Kind string
	// Operation and Target say what was done, and to what: a peer ID, "group:N", "groups:N,N", "placement", "root".
	Operation, Target string
	// RemoteAddr is host:port of the peer that asked for it; "" when none did.
	RemoteAddr string
	// Before and After become JSON; nil is nothing. Neither holds a secret.
	Before, After any
	// Failed is the kind of the error when it is not known whether the act happened.
	Failed string
}

// Kinds of acts of a node.
const (
	ActOnMembership = "membership"
	ActOnCredential = "credential"
)

// Doubt names the kind of an error after which a change may have happened all the same; "" for no error, and for one that says
// that nothing was changed.
func Doubt(err error) string {
	if err == nil {
		return ""
	}
	if k := KindOf(err); k == OutcomeUnknown || k == Canceled {
		return k.String()
	}
	return ""
}

// MemberState is what is decided about a member, as acts tell it.
type MemberState struct {
	Roles  []string `json:"roles"`
	Site   string   `json:"site"`
	State  string   `json:"state"`
	Weight uint32   `json:"weight"`
}

// Decided gives what is decided about the member.
func (m *Member) Decided() MemberState { return MemberState{m.Roles, m.Site, m.State, m.Weight} }
