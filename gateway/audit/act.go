package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Act is the record of an act on rights, members, configuration, locks or keys: who did what to what, and how
// that was before and after. It never holds a secret.
type Act struct {
	Time        time.Time // when the request's head had been read
	RemoteAddr  string    // host:port of the connection
	User        string    // principal ID, or "node:" and a peer ID for what a node did by itself
	AccessKeyID string
	RequestID   string
	Kind        ActKind
	Operation   string // name in the AWS model, the route of the management port, or the name of an act of a node
	Target      string // what it was done to: "bucket", "bucket/key", "user:NAME", a peer ID, …
	VersionID   string // of the target, "" when none is named
	Before      string // JSON or the document; "" when there was nothing, or nothing is told
	After       string // the same after it
	Bypass      bool   // governance retention was bypassed
	// Failed is the error code when it is not known whether the act happened.
	Failed string
	// Intent is the ID of the intent that this is the outcome of, "" where none was recorded.
	Intent string
}

// ActKind says what an act is on. It comes from a closed list.
type ActKind string

// Kinds of acts.
const (
	OnCredential    ActKind = "credential"
	OnUser          ActKind = "user"
	OnGroup         ActKind = "group"
	OnPolicy        ActKind = "policy"
	OnPermission    ActKind = "permission" // who may do what with a bucket or object
	OnMembership    ActKind = "membership"
	OnConfiguration ActKind = "configuration"
	OnLock          ActKind = "lock"
	OnKey           ActKind = "key"
)

// documentBytesMax bounds Before and After; of longer ones the record has the beginning, the length and the hash.
const documentBytesMax = 64 << 10

func (a *Act) event() string { return "act" }

func (a *Act) appendFields(b []byte) []byte {
	b = a.appendWhat(b)
	b = appendDocument(b, "before", a.Before)
	b = appendDocument(b, "after", a.After)
	if a.Bypass {
		b = append(b, `,"bypass":true`...)
	}
	if a.Failed != "" {
		b = appendText(b, "failed", a.Failed, textBytesMax)
	}
	if a.Intent != "" {
		b = appendText(b, "intent", a.Intent, textBytesMax)
	}
	return b
}

// appendWhat appends who does what to what.
func (a *Act) appendWhat(b []byte) []byte {
	b = append(b, `,"timestamp":"`...)
	b = append(appendTime(b, a.Time), '"')
	b = appendText(b, "remote_addr", a.RemoteAddr, textBytesMax)
	b = appendText(b, "user", a.User, textBytesMax)
	b = appendText(b, "access_key_id", a.AccessKeyID, textBytesMax)
	b = appendText(b, "request_id", a.RequestID, textBytesMax)
	b = appendText(b, "kind", string(a.Kind), textBytesMax)
	b = appendText(b, "operation", a.Operation, textBytesMax)
	b = appendText(b, "target", a.Target, 2*keyBytesMax)
	return appendText(b, "version_id", a.VersionID, textBytesMax)
}

// StateText gives a state as Before and After hold it: "" for nil, texts as they are, and JSON of anything else.
func StateText(state any) string {
	switch s := state.(type) {
	case nil:
		return ""
	case string:
		return s
	}
	text, err := json.Marshal(state)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// appendDocument appends a long text, or what stands for it.
func appendDocument(b []byte, name, text string) []byte {
	b = appendText(b, name, text, documentBytesMax)
	if len(text) > documentBytesMax {
		sum := sha256.Sum256([]byte(text))
		b = appendInt(b, name+"_bytes", int64(len(text)))
		b = appendText(b, name+"_hash", hex.EncodeToString(sum[:]), textBytesMax)
	}
	return b
}
