package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Bounds of a session (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html).
const (
	SessionMin = 15 * time.Minute
	SessionMax = 12 * time.Hour
	// SessionPolicyMax is the length of a session's own policy, in bytes.
	SessionPolicyMax = 2048
	// SessionTokenMax bounds a token, in bytes.
	SessionTokenMax = 8 << 10
)

// Sessions makes and opens temporary credentials. Nothing is kept of them: a token holds all, sealed under the
// root key, so every node opens what any node made.
type Sessions interface {
	// IssueSession makes a session of an access key, or of a user who has proven to be that in another way. The parent of
	// the second is an access key of the user that nobody has the secret of: it is made when it is first wanted.
	// NoSuchCredential when the access key is not in force, NoSuchIdentity when the user is not; InvalidArgument. It must
	// not be called for a session, which has none of its own.
	IssueSession(ctx context.Context, req NewSession) (IssuedSession, error)
	// OpenSession tells what a token holds; the caller looks at when the session ends, and whether its
	// parent is in force. NoSuchCredential for what no node has made.
	OpenSession(ctx context.Context, token string) (Session, error)
}

// MarkOf tells one secret from another without telling it.
func MarkOf(secret string) string {
	sum := sha256.Sum256([]byte("session of " + secret))
	return hex.EncodeToString(sum[:16])
}

// NewSession says which session is to be made.
type NewSession struct {
	Parent string        `json:"parent"` // the ID of the access key it is asked for with, "" for none
	User   string        `json:"user"`   // the name of the user whose it is, where there is no Parent
	Name   string        `json:"name"`   // that the client gave it
	Role   string        `json:"role"`   // the name of a policy that narrows it, "" for none
	Policy string        `json:"policy"` // a document that narrows it, "" for none
	Life   time.Duration `json:"life"`   // from SessionMin to SessionMax, in nanoseconds
	Until  time.Time     `json:"until"`  // when it ends at the latest; zero says nothing
}

// Session is a temporary credential. It may do what its parent may, and the policies allow. It prints itself
// without the secret.
type Session struct {
	AccessKeyID string `json:"access_key_id"`
	Secret      string `json:"secret_access_key"`
	Parent      string `json:"parent"`
	Principal   string `json:"principal"` // of the parent
	// ParentMark is MarkOf the parent's secret where the parent is one that comes back under the same ID after it was
	// revoked; else "".
	ParentMark string    `json:"parent_mark,omitempty"`
	Name       string    `json:"name"`
	Role       string    `json:"role,omitempty"`
	Policy     string    `json:"policy,omitempty"`
	Issued     time.Time `json:"issued"`
	Expires    time.Time `json:"expires"`
}

// String hides the secret.
func (s Session) String() string { return "session " + s.AccessKeyID + " of " + s.Parent }

// GoString hides the secret.
func (s Session) GoString() string { return s.String() }

// IssuedSession is a session with the token that proves it.
type IssuedSession struct {
	Session
	Token string `json:"token"`
}

// String hides secret and token.
func (s IssuedSession) String() string { return s.Session.String() }

// GoString hides secret and token.
func (s IssuedSession) GoString() string { return s.String() }
